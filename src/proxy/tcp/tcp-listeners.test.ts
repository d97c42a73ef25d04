import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { Buckets, bucketsMemory } from '../../lib/shared/buckets.ts'
import type { NodeName } from '../../model/names.ts'
import type { Route } from '../../model/route.ts'
import { HandClock } from '../../testing/clock.ts'
import { freePort } from '../../testing/free-port.ts'
import { aNode, aRoute, FakeConnector } from '../../testing/front.ts'
import { Guard } from '../access.ts'
import type { ConnectionAsked } from '../node-connector.ts'
import type { KnownNode } from '../nodes.ts'
import { TcpListeners } from './tcp-listeners.ts'

let clock: HandClock
let connector: FakeConnector
let listeners: TcpListeners
let nodes: Map<string, KnownNode>
/** The app: it sends back what it gets, and ends its side when the client does. */
let app: Server
let asked: ConnectionAsked[]
let listen: number
const sockets: Socket[] = []

beforeEach(async () => {
  clock = new HandClock()
  connector = new FakeConnector(() => ({}))
  asked = []
  listen = await freePort()
  nodes = new Map(
    ['a', 'b'].map(name => [
      name,
      { node: aNode(name, ''), healthy: true, overloaded: false, lostAt: undefined, appNetworks: [] },
    ]),
  )
  app = createServer({ allowHalfOpen: true }, socket => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(app, 'listening')
  connector.connects = async one => {
    asked.push(one)
    const socket = connect({ port: (app.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
    await once(socket, 'connect')
    return socket
  }
  const pins = new Map<string, NodeName>()
  listeners = new TcpListeners({
    host: '127.0.0.1',
    ranges: [{ first: 1_024, last: 65_535 }],
    guard: new Guard({ clock, apps: new Buckets(bucketsMemory()), clients: new Buckets(bucketsMemory()) }),
    mostConnections: 10,
    drainMs: 1_000,
    pins: { get: instance => pins.get(instance), set: (instance, node) => void pins.set(instance, node) },
    nodes: {
      get all() {
        return [...nodes.values()]
      },
      get appNetworks() {
        return []
      },
      get: name => nodes.get(name),
      failed: name => void nodes.set(name, { ...(nodes.get(name) as KnownNode), healthy: false }),
      mayComeBack: () => false,
      refresh: async () => undefined,
      onSilent: () => undefined,
    },
    connector,
    clock,
    log: noLog,
  })
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  const ended = listeners[Symbol.asyncDispose]()
  await clock.advance(2_000)
  await ended
  app.close()
})

const route = (more: Partial<Route> = {}): Route => ({ ...aRoute('blog', []), tcp: [{ port: 5432, listen }], ...more })

async function client(): Promise<Socket> {
  const socket = connect({ port: listen, host: '127.0.0.1', allowHalfOpen: true })
  sockets.push(socket.on('error', () => undefined))
  await once(socket, 'connect')
  return socket
}

/** Resolves when the front has reset the connection. */
const refused = (): Promise<void> => closed(connect({ port: listen, host: '127.0.0.1' }).on('error', () => undefined))

const closed = (socket: Socket): Promise<void> =>
  socket.destroyed ? Promise.resolve() : new Promise(resolve => socket.resume().once('close', () => resolve()))

test('bytes pass both ways, and the end of one side does not end the other one', async () => {
  assert.deepEqual(await listeners.update([route()]), [{ listen, app: 'blog' }])
  const socket = await client()
  socket.end('select 1')
  assert.equal(await text(socket), 'select 1')
  assert.deepEqual(
    asked.map(({ port, by, wake }) => [port, by.replace(/:\d+ /, ':… '), wake]),
    [[5432, `127.0.0.1:… on port ${listen}`, true]],
  )
})

test('a port that is not among those of the front is not opened, and neither is one that is in use', async () => {
  const taken = (app.address() as AddressInfo).port
  const [outside, inUse] = await listeners.update([
    route({ tcp: [{ port: 22, listen: 80 }] }),
    route({ tcp: [{ port: 22, listen: taken }] }),
  ])
  assert.match(outside?.problem ?? '', /port 80 is not among SHADOW_TCP_PORTS/)
  assert.match(inUse?.problem ?? '', /cannot listen on 127\.0\.0\.1:\d+: it is in use/)
})

test('a port that was in use is opened by a later list', async () => {
  const other = createServer().listen(listen, '127.0.0.1')
  await once(other, 'listening')
  assert.match((await listeners.update([route()]))[0]?.problem ?? '', /in use/)
  other.close()
  await once(other, 'close')
  assert.deepEqual(await listeners.update([route()]), [{ listen, app: 'blog' }])
})

test('a port that no app asks for any more is closed, and who is connected stays', async () => {
  await listeners.update([route()])
  const socket = await client()
  socket.write('a')
  await once(socket, 'data')
  assert.deepEqual(await listeners.update([]), [])
  await assert.rejects(client())
  socket.write('b')
  await once(socket, 'data')
})

test('a client whose network may not use the app is refused, and wakes nothing', async () => {
  await listeners.update([route({ access: { allow: [], deny: ['127.0.0.0/8'] } as unknown as Route['access'] })])
  await refused()
  assert.deepEqual(connector.went, [])
})

test('a template takes no connection, and neither does a session that asks for tokens', async () => {
  const template = { whenIdle: 'end', most: 1, visitors: 'all' } as const
  const session = { template: 'editor', whenIdle: 'end', visitors: 'token', tokens: [] } as unknown as Route['session']
  for (const more of [{ template }, { session }]) {
    await listeners.update([route(more)])
    await refused()
  }
  assert.deepEqual(connector.went, [])
  await listeners.update([route({ session: { ...session, visitors: 'all' } as Route['session'] })])
  const socket = await client()
  socket.end('open to all')
  assert.equal(await text(socket), 'open to all')
})

test('a client from a network by whose rule nothing wakes the app may use it, and not wake it', async () => {
  const wake = { ignore: [{ network: '127.0.0.1' }], answers: [] } as unknown as Route['wake']
  await listeners.update([route({ wake })])
  const socket = await client()
  socket.end()
  await text(socket)
  assert.equal(asked[0]?.wake, false)
})

test('one connection more than the port lets in is refused, until one has left', async () => {
  await listeners.update([route({ tcp: [{ port: 5432, listen, connections: 1 }] })])
  const first = await client()
  first.write('a')
  await once(first, 'data')
  await refused()
  first.end()
  await text(first)
  const deadline = performance.now() + 5_000
  while (listeners.connections > 0 && performance.now() < deadline) await new Promise(setImmediate)
  const second = await client()
  second.end('b')
  assert.equal(await text(second), 'b')
})

test('where a node has no room for the app, or does not answer, another one is asked', async () => {
  const connects = connector.connects as NonNullable<typeof connector.connects>
  for (const error of [
    new ShadowError('no-memory', 'no room'),
    new ShadowError('node-unreachable', 'it does not answer'),
  ]) {
    connector.went.length = 0
    let isFirst = true
    connector.connects = async one => {
      if (!isFirst) return connects(one)
      isFirst = false
      throw error
    }
    await listeners.update([route()])
    const socket = await client()
    socket.end('x')
    assert.equal(await text(socket), 'x')
    const [first, second] = connector.went
    assert.notEqual(first, second)
    assert.equal(connector.went.length, 2)
    for (const [name, node] of nodes) nodes.set(name, { ...node, healthy: true })
  }
})

test('at a stop, quiet connections are closed at once, and those in use have their time', async () => {
  await listeners.update([route()])
  const [quiet, busy] = [await client(), await client()]
  for (const socket of [quiet, busy]) {
    socket.write('a')
    await once(socket, 'data')
  }
  await clock.advance(1_500)
  busy.write('b')
  await once(busy, 'data')
  quiet.resume()
  busy.resume()
  const stopped = listeners[Symbol.asyncDispose]()
  await closed(quiet)
  assert.equal(busy.destroyed, false)
  await clock.advance(1_000)
  await closed(busy)
  await clock.advance(200)
  await stopped
})
