import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { test } from 'vitest'
import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { forwarding } from '../../../testing/forwarding.ts'
import { httpApp, open, RawClient, until } from '../../../testing/wire.ts'
import { noLog } from '../../log.ts'
import { strictServer } from './strict.ts'

test('many requests at once on one connection are served, and nobody warns of a leak', async () => {
  const warnings: Error[] = []
  const warned = (warning: Error): void => void warnings.push(warning)
  process.on('warning', warned)
  await using app = await httpApp((request, response) => response.end(`<${request.url}>`))
  await using front = await forwarding(app)
  const requests = Array.from({ length: 30 }, (_, at) => `GET /${at} HTTP/1.1\r\nHost: a\r\n\r\n`)
  using client = new RawClient(front.port, requests.join(''))
  await client.until('</29>')
  await new Promise(setImmediate)
  process.off('warning', warned)
  assert.deepEqual(warnings, [])
})

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`

const parts = (text: string): string[] => text.match(/HTTP.1.1 \d+|Connection: [a-z-]+|<.*?>/g) ?? []

test('an answer of our own that is sent after a drain began says that the connection ends', async () => {
  const ready = Promise.withResolvers<void>()
  const server = strictServer(
    async (_request, response) => {
      await ready.promise
      response.end('own')
    },
    { log: noLog },
  )
  await using there = await open(server)
  using client = new RawClient(there.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => [...there.sockets].some(socket => socket.bytesRead > 0))
  await new Promise(setImmediate)
  server.close()
  ready.resolve()
  assert.match(await client.closed(), /^HTTP\/1.1 200 OK\r\n[\s\S]*Connection: close\r\n[\s\S]*own/)
})

for (const [what, offer] of [
  ['h2c', get('/offer', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n')],
  ['one with a body', `${get('/offer', 'Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n')}abc`],
] as const) {
  // The head of the next request comes along; its body, by itself, would be a request.
  const next = `${offer}POST /next HTTP/1.1\r\nHost: a\r\nContent-Length: ${get('/smuggled').length}\r\n\r\n`
  const hearing = async () => {
    const seen: string[] = []
    const app = await httpApp(async (request, response) => {
      seen.push(`${request.url} ${request.headers.upgrade ?? ''}${request.headers['http2-settings'] ?? ''}`)
      response.end(await text(request))
    })
    return { app, seen }
  }

  test(`nothing is served behind an offer to switch that node:http ignores, and its answer says so: ${what}`, async () => {
    const { app, seen } = await hearing()
    await using _app = app
    await using front = await forwarding(app)
    using client = new RawClient(front.port)
    client.send(next)
    await until(() => seen.length === 1)
    client.send(get('/smuggled'))
    assert.deepEqual(parts(await client.closed()), ['HTTP/1.1 200', 'Connection: close'])
    assert.deepEqual(seen, ['/offer '])
  })

  test(`an offer to switch that is ignored is a plain request, and the connection goes on: ${what}`, async () => {
    const { app, seen } = await hearing()
    await using _app = app
    await using front = await fastForwarding()(app)
    using client = new RawClient(front.port)
    client.send(next)
    await until(() => seen.length === 2)
    client.send(get('/smuggled'))
    await client.until(get('/smuggled'))
    assert.deepEqual(seen, ['/offer ', '/next '])
  })
}
