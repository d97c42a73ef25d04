import assert from 'node:assert/strict'
import { BlockList, Socket } from 'node:net'
import { test } from 'vitest'
import { HandClock } from '../../../testing/clock.ts'
import { open, RawClient, until } from '../../../testing/wire.ts'
import { noLog } from '../../log.ts'
import { Counts, countsMemory } from '../../shared/counts.ts'
import { Counters } from '../counters.ts'
import { ExchangeServer, netServer } from '../downstream/exchange-server.ts'
import { ConnectionLimiter, type ConnectionLimits } from './connection-limits.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

async function serving(connections: ConnectionLimits) {
  const clock = new HandClock()
  const held: (() => void)[] = []
  const exchanges = new ExchangeServer({
    log: noLog,
    clock,
    connections,
    async handler(exchange) {
      if (exchange.target === '/held') await new Promise<void>(go => held.push(go))
      exchange.answer({ status: 200, headers: { 'content-length': '2' }, body: 'ok' })
    },
  })
  const opened = await open(netServer(exchanges))
  return {
    ...opened,
    clock,
    held,
    exchanges,
    counters: exchanges.counters,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]()
      exchanges[Symbol.dispose]()
    },
  }
}

/** A client whose request is being served. */
async function busy(front: Awaited<ReturnType<typeof serving>>): Promise<RawClient> {
  const before = front.held.length
  const client = new RawClient(front.port, 'GET /held HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => front.held.length > before)
  return client
}

async function idle(front: { readonly port: number }): Promise<RawClient> {
  const client = new RawClient(front.port, GET)
  await client.until('ok')
  return client
}

test('one more than an address may have is answered 429; when one of them closes, another is let in', async () => {
  await using front = await serving({ mostPerAddress: 2 })
  using first = await idle(front)
  using _second = await busy(front)
  using third = new RawClient(front.port, GET)
  assert.match(await third.closed(), /^HTTP\/1\.1 429 [\s\S]*connection: close[\s\S]*"code":"too-many-connections"/)
  assert.equal(front.counters.refusedPerAddress, 1)
  assert.equal(first.ended, false, 'no room is made for a client that has more than its share')
  first.socket.destroy()
  await until(() => front.exchanges.counted.open === 1)
  using fourth = await idle(front)
  assert.equal(fourth.ended, false)
})

test('where as many are open as may be, the one that has been idle for longest is closed, and none that is in use', async () => {
  await using front = await serving({ most: 3 })
  using used = await busy(front)
  using longest = await idle(front)
  using later = await idle(front)
  longest.text = ''
  longest.send(GET)
  await longest.until('ok') // now `later` has been idle for longest
  using another = await idle(front)
  await later.closed()
  assert.deepEqual([used.ended, longest.ended, another.ended], [false, false, false])
  assert.equal(front.counters.madeRoom, 1)
})

test('a connection that never asked for anything counts as idle, one in the middle of a head does not', async () => {
  await using front = await serving({ most: 2 })
  using silent = new RawClient(front.port)
  await until(() => front.exchanges.counted.open === 1)
  using begun = new RawClient(front.port, 'GET / HT')
  await until(() => front.exchanges.counted.open === 2 && front.exchanges.counted.bytesIn === 8)
  using _third = await idle(front)
  await silent.closed()
  begun.send('TP/1.1\r\nHost: a\r\n\r\n')
  await begun.until('ok')
})

test('where none is idle, one more is answered 503', async () => {
  await using front = await serving({ most: 2 })
  using _first = await busy(front)
  using _second = await busy(front)
  using third = new RawClient(front.port, GET)
  assert.match(await third.closed(), /^HTTP\/1\.1 503 [\s\S]*"code":"connections-full"/)
  assert.equal(front.counters.refusedInAll, 1)
  for (const go of front.held) go()
  await until(() => front.counters.byClass[2] === 2)
  using fourth = await idle(front)
  assert.equal(fourth.ended, false)
})

test('an idle connection of HTTP/1.0 makes room too', async () => {
  await using front = await serving({ most: 1 })
  using old = new RawClient(front.port, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
  await old.until('ok')
  await until(() => front.counters.byClass[2] === 1)
  using another = await idle(front)
  await old.closed()
  assert.equal(another.ended, false)
})

test('a flood of refused connections is reset, and those that were answered and stay are cut', async () => {
  await using front = await serving({ most: 1 })
  using _only = await busy(front)
  const refused = Array.from({ length: 100 }, () => new RawClient(front.port, GET))
  await until(() => refused.every(client => client.ended || client.socket.closed))
  assert.equal(front.counters.refusedInAll, 100)
  assert.equal(refused.filter(client => client.text.includes(' 503 ')).length, 64)
  await until(() => front.sockets.size === 65) // the clients have not ended their sides
  await front.clock.advance(1_000)
  await until(() => front.sockets.size === 1)
  for (const client of refused) client.socket.destroy()
})

/** A connection from this address, with the only property that the limiter reads. */
function from(address: string): Socket {
  const socket = new Socket()
  Object.defineProperty(socket, 'remoteAddress', { value: address })
  return socket
}

const gateOf = (options: ConnectionLimits): ConnectionLimiter => new ConnectionLimiter(options, new Counters(), () => 0)
const enter = (limiter: ConnectionLimiter, address: string): boolean => limiter.enter(from(address), { plain: false })

test('an IPv6 client is its /64; an IPv4 one its address, in whichever spelling', () => {
  const limiter = gateOf({ mostPerAddress: 1 })
  assert.equal(enter(limiter, '2001:db8:1:2::1'), true)
  assert.equal(enter(limiter, '2001:db8:1:2:ffff::9'), false)
  assert.equal(enter(limiter, '2001:db8:1:3::1'), true)
  assert.equal(enter(limiter, '203.0.113.7'), true)
  assert.equal(enter(limiter, '::ffff:203.0.113.7'), false)
  assert.equal(enter(limiter, '203.0.113.8'), true)
})

test('trusted proxies are bounded in all alone', () => {
  const exempt = new BlockList()
  exempt.addSubnet('10.0.0.0', 8, 'ipv4')
  const limiter = gateOf({ mostPerAddress: 1, most: 3, exempt })
  assert.deepEqual(
    ['10.0.0.1', '10.0.0.1', '::ffff:10.0.0.1', '10.0.0.1'].map(address => enter(limiter, address)),
    [true, true, true, false],
  )
})

test('gates of several threads count together', () => {
  const memory = countsMemory({ threads: 2 })
  const [one, other] = [0, 1].map(thread => gateOf({ most: 2, mostPerAddress: 1, counts: new Counts(memory, thread) }))
  assert(one !== undefined && other !== undefined)
  assert.equal(enter(one, '203.0.113.7'), true)
  assert.equal(enter(other, '203.0.113.7'), false)
  assert.equal(enter(other, '203.0.113.8'), true)
  assert.equal(enter(one, '203.0.113.9'), false)
})
