import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'vitest'
import { type Clock, systemClock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { ExchangeServer, netServer } from '../lib/http/downstream/exchange-server.ts'
import { noLog } from '../lib/log.ts'
import { Gauges } from '../lib/shared/gauges.ts'
import type { Held } from '../model/instance.ts'
import { nodeName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { open, RawClient, rawApp, recorder, until } from '../testing/wire.ts'
import { NodeBounds } from './bounds.ts'
import { instanceHandler } from './instance-request.ts'

const POST = 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

/** The listener of a node for one instance, which is held as the test says. */
async function aListener(hold: () => Held | Promise<Held>, clock: Clock = systemClock, instance = 'blog') {
  const handle = instanceHandler({
    node: nodeName('n1'),
    hold,
    phase: () => 'awake',
    bounds: new NodeBounds({ clock: systemClock, gauges: new Gauges(), sockets: 100 }),
    clock,
  })
  const exchanges = new ExchangeServer({ log: noLog, handler: exchange => handle(instance, exchange) })
  const opened = await open(netServer(exchanges))
  return { ...opened, exchanges }
}

const held = (address: string): Held => ({ address, run: 'run', headers: {}, [Symbol.dispose]: () => undefined })

test('the error of a request that the app had when its volume was taken away says that the app has seen it', async () => {
  let asked = 0
  await using app = await rawApp(socket => socket.on('data', () => asked++))
  await using node = await aListener(() => held(app.address))
  using client = new RawClient(node.port, POST)
  await until(() => asked === 1)
  const cause = new ShadowError('volume-elsewhere', 'n2 has the volume', { facts: { node: 'n2' } })
  node.exchanges.forget({ address: app.address, upstream: 'run', cause })
  assert.match(await client.closed(), /^HTTP\/1\.1 421 [\s\S]*x-shadow-seen: 1\r\n/)
})

test('the error of a request that no app has had does not', async () => {
  await using node = await aListener(() => {
    throw new ShadowError('volume-elsewhere', 'n2 has the volume', { facts: { node: 'n2' } })
  })
  using client = new RawClient(node.port, POST)
  const answer = await client.closed()
  assert.match(answer, /^HTTP\/1\.1 421 /)
  assert.doesNotMatch(answer, /x-shadow-seen/)
})

test('an answer that comes when another node may have the volume is dropped: what was written for it may be lost', async () => {
  const asked: Socket[] = []
  await using app = await rawApp(socket => socket.on('data', () => asked.push(socket)))
  const clock = new HandClock()
  const answersUntil = new Float64Array([clock.now() + 1_000])
  await using node = await aListener(() => ({ ...held(app.address), answersUntil }), clock)
  for (const [pausedMs, answer] of [
    [999, /^HTTP\/1\.1 200 /],
    [1, /^HTTP\/1\.1 503 [\s\S]*x-shadow-seen: 1\r\n/],
  ] as const) {
    using client = new RawClient(node.port, POST)
    const before = asked.length
    await until(() => asked.length > before)
    clock.pause(pausedMs)
    asked.at(-1)?.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    assert.match(await client.closed(), answer)
  }
})

test('the app of a session is told which one it is, whatever the request says; any other app is told nothing', async () => {
  await using app = await recorder()
  for (const [instance, told] of [
    ['editor--aaaaaaaaaaaaaaaa', ['x-shadow-session: editor--aaaaaaaaaaaaaaaa']],
    ['blog', []],
  ] as const) {
    app.seen.text = ''
    await using node = await aListener(() => held(app.address), systemClock, instance)
    using client = new RawClient(node.port, 'GET / HTTP/1.1\r\nHost: a\r\nX-Shadow-Session: eve\r\n\r\n')
    await client.until('ok')
    assert.deepEqual(app.seen.text.match(/^x-shadow-session.*$/gim)?.map(line => line.trim()) ?? [], told)
  }
})

test('a request for another port goes to that port of the same run, and one for no port is refused', async () => {
  await using main = await recorder()
  await using side = await recorder()
  await using node = await aListener(() => held(main.address))
  const ask = (port: string) => new RawClient(node.port, `GET / HTTP/1.1\r\nHost: a\r\nX-Shadow-Port: ${port}\r\n\r\n`)
  using client = ask(`${side.port}`)
  await client.until('ok')
  assert.match(side.seen.text, /^GET \/ /)
  assert.doesNotMatch(side.seen.text, /x-shadow-port/i)
  assert.equal(main.seen.text, '')
  for (const port of ['0', '65536', '080', 'a', '']) {
    using refused = ask(port)
    assert.match(await refused.until('bad-input'), /^HTTP\/1\.1 400 /, port)
  }
})

test('connections to all ports of a run are forgotten with it: its address may be that of another app then', async () => {
  await using side = await recorder()
  await using node = await aListener(() => held('127.0.0.1:1'))
  const request = `GET / HTTP/1.1\r\nHost: a\r\nX-Shadow-Port: ${side.port}\r\n\r\n`
  using client = new RawClient(node.port, request)
  await client.until('ok')
  assert.equal(side.sockets.size, 1)
  node.exchanges.forget({ address: '127.0.0.1:1', upstream: 'run' })
  await until(() => side.sockets.size === 0)
  side.seen.text = ''
  client.text = ''
  client.send(request)
  assert.match(await client.until('app-unreachable'), /^HTTP\/1\.1 502 /)
  assert.equal(side.seen.text, '')
})
