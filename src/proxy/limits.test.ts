import assert from 'node:assert/strict'
import { setImmediate as tick } from 'node:timers/promises'
import { test } from 'vitest'
import { claim } from '../lib/http/listening.ts'
import { noLog } from '../lib/log.ts'
import { readSettings } from '../lib/settings.ts'
import { FAKE_TOKEN } from '../testing/fake-master.ts'
import { aFront, aNode, aNodeListener, anApp, dataFolder, masterOf } from '../testing/front.ts'
import { httpApp, RawClient } from '../testing/wire.ts'
import { proxySettings } from './config.ts'
import { startProxy } from './main.ts'

const GET = 'GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n'
const BEGUN = 'GET / HTTP/1.1\r\nHost: '
const POST = 'POST / HTTP/1.1\r\nHost: blog.localhost\r\n'

async function fronted(settings: Record<string, string>) {
  const stack = new AsyncDisposableStack()
  const app = stack.use(
    await httpApp((request, response) => {
      request.on('error', () => undefined).on('end', () => response.end('hello'))
      request.resume()
    }),
  )
  const node = stack.use(await aNodeListener(app))
  const master = stack.use(await masterOf([anApp('blog', ['blog.localhost'])], [aNode('a', node.address)]))
  const front = stack.use(await aFront({ master: master.url, settings }))
  const shows = async (metric: string): Promise<boolean> => (await front.metrics.text()).body.includes(`\n${metric}\n`)
  return { ...front, shows, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

const fields = (text: string): string => GET.replace(/\r\n$/, `${text}\r\n`)
const refusals: [setting: string, value: string, send: string, status: number, reason: string][] = [
  ['SHADOW_HEAD_SIZE', '4KiB', fields(`X: ${'x'.repeat(5_000)}\r\n`), 431, 'head'],
  ['SHADOW_HEAD_FIELDS', '16', fields('X: y\r\n'.repeat(16)), 431, 'fields'],
  ['SHADOW_TARGET_SIZE', '1KiB', GET.replace('/', `/${'x'.repeat(1_024)}`), 414, 'target'],
  ['SHADOW_BODY_SIZE', '1KiB', `${POST}Content-Length: 1025\r\n\r\n`, 413, 'body'],
]

for (const [setting, value, send, status, reason] of refusals) {
  test(`${setting} is heeded: beyond it ${status}, which its metric shows`, async () => {
    await using front = await fronted({ [setting]: value })
    using fine = new RawClient(front.port, GET)
    await fine.until('hello')
    using client = new RawClient(front.port, send)
    await client.until(`HTTP/1.1 ${status} `)
    assert(await front.shows(`shadow_requests_refused_total{daemon="front",reason="${reason}"} 1`))
  })
}

const UPLOAD = `${POST}Content-Length: 100000\r\n\r\n`
const late: [setting: string, value: string, send: string, wanted: RegExp, metric: string][] = [
  ['SHADOW_HEAD_WITHIN', '2s', BEGUN, /^HTTP\/1\.1 408 /, 'shadow_timeouts_total{daemon="front",what="head"}'],
  ['SHADOW_STALLED_AFTER', '2s', UPLOAD, /^HTTP\/1\.1 408 /, 'shadow_timeouts_total{daemon="front",what="body"}'],
  ['SHADOW_LEAST_RATE', '1000B', UPLOAD, /^HTTP\/1\.1 408 /, 'shadow_timeouts_total{daemon="front",what="body"}'],
  ['SHADOW_KEEP_ALIVE', '2s', GET, /hello$/, 'shadow_connections_closed_total{daemon="front",reason="idle"}'],
]

for (const [setting, value, send, wanted, metric] of late) {
  test(`${setting} is heeded, which its metric shows`, async () => {
    await using front = await fronted({ [setting]: value })
    using client = new RawClient(front.port, send)
    if (send === GET) await client.until('hello')
    for (let left = 150; left > 0 && !client.ended && (send === GET || client.text === ''); left -= 1) {
      if (setting === 'SHADOW_LEAST_RATE') client.send('x')
      await front.clock.advance(500)
    }
    if (send === GET) await client.closed()
    await client.until(wanted)
    assert(await front.shows(`${metric} 1`))
  })
}

for (const [settings, answer, reason] of [
  [{ SHADOW_CONNECTIONS: '1' }, 'HTTP/1.1 503 ', 'all'],
  [{ SHADOW_CONNECTIONS_PER_ADDRESS: '1' }, 'HTTP/1.1 429 ', 'address'],
] as const) {
  test(`${Object.keys(settings)} is heeded: one more is answered so, which its metric shows`, async () => {
    await using front = await fronted(settings)
    using _first = new RawClient(front.port, BEGUN)
    const isRead = `shadow_client_bytes_total{daemon="front",direction="in"} ${BEGUN.length}`
    for (let left = 1_000; left > 0 && !(await front.shows(isRead)); left -= 1) await tick()
    using second = new RawClient(front.port, GET)
    await second.until(answer)
    assert(await front.shows(`shadow_connections_refused_total{daemon="front",reason="${reason}"} 1`))
  })
}

test('SHADOW_CONNECTIONS_PER_ADDRESS is not for trusted proxies', async () => {
  await using front = await fronted({ SHADOW_CONNECTIONS_PER_ADDRESS: '1', SHADOW_TRUSTED_PROXIES: '127.0.0.1' })
  const clients = [1, 2, 3].map(() => new RawClient(front.port, GET))
  for (const client of clients) {
    await client.until('hello')
    client[Symbol.dispose]()
  }
})

test('SHADOW_REQUESTS_PER_CONNECTION is heeded', async () => {
  await using front = await fronted({ SHADOW_REQUESTS_PER_CONNECTION: '2' })
  using client = new RawClient(front.port, GET.repeat(3))
  assert.equal((await client.closed()).match(/200 OK/g)?.length, 2)
  assert(await front.shows('shadow_connections_closed_total{daemon="front",reason="requests"} 1'))
})

test('what all workers of a front count is shown as one', async () => {
  await using front = await fronted({ SHADOW_WORKERS: '2' })
  for (let visit = 0; visit < 10; visit += 1) {
    using client = new RawClient(front.port, GET)
    await client.until('hello')
  }
  assert(await front.shows('shadow_requests_total{daemon="front"} 10'))
})

test('SHADOW_METRICS_LISTEN is where a front shows its metrics, until it has stopped', async () => {
  const { address } = await claim({ host: '127.0.0.1', port: 0 })
  await using master = await masterOf([], [])
  const env = {
    SHADOW_MASTER: master.url,
    SHADOW_TOKEN: FAKE_TOKEN,
    SHADOW_DATA: dataFolder(),
    SHADOW_LISTEN: '127.0.0.1:0',
    SHADOW_METRICS_LISTEN: address,
  }
  const front = await startProxy(readSettings(proxySettings, env), { log: noLog })
  const answer = await fetch(`http://${address}/metrics`)
  assert.match(await answer.text(), /^shadow_requests_total\{daemon="front"\} 0$/m)
  await front[Symbol.asyncDispose]()
  await assert.rejects(fetch(`http://${address}/metrics`))
})
