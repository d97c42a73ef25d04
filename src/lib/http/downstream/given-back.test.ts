import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:tls'
import { test } from 'vitest'
import { certificatesFolder, putPair, selfSigned } from '../../../testing/certificates.ts'
import { HandClock } from '../../../testing/clock.ts'
import { h2Client } from '../../../testing/h2-forwarding.ts'
import { httpApp, open, RawClient, until } from '../../../testing/wire.ts'
import { noLog } from '../../log.ts'
import { Counts, countsMemory } from '../../shared/counts.ts'
import { byHandler } from '../api/request-handler.ts'
import { Certificates } from '../tls/certificates.ts'
import { tlsServer } from '../tls/listener.ts'
import { ExchangeServer, netServer } from './exchange-server.ts'

const HERE = '127.0.0.1'
const MOST = 4
const one = selfSigned('one.example')
const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: one.example\r\n${more}\r\n`
const UPGRADE = get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')

/** An app that answers all requests except /never. It accepts upgrades and then echoes. */
const anApp = () =>
  httpApp(
    (request, response) => {
      request.on('error', () => undefined).resume()
      if (request.url !== '/never') response.end('answer')
    },
    server =>
      server.on('upgrade', (_request, socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
        socket.on('error', () => undefined).pipe(socket)
      }),
  )

/** A plain and a TLS listener in front of an app, with all of their counts. */
async function serving() {
  const stack = new AsyncDisposableStack()
  const app = stack.use(await anApp())
  const clock = new HandClock(Date.now())
  const counts = new Counts(countsMemory())
  const held: (() => void)[] = []
  const exchanges = new ExchangeServer({
    log: noLog,
    clock,
    limits: { bodyBytes: 1_000, stalledAfterMs: 2_000, requestsPerConnection: 3 },
    connections: { most: MOST, mostPerAddress: MOST, counts },
    async handler(exchange) {
      if (exchange.target.startsWith('/held')) await new Promise<void>(go => held.push(go))
      if (exchange.target.endsWith('/opened'))
        return byHandler(exchange, async (_request, response) => void response.end('opened'), noLog)
      return exchange.forward({ address: app.address, forwarded: 'replace' })
    },
  })
  const plain = stack.use(await open(netServer(exchanges)))
  const folder = certificatesFolder()
  putPair(folder, 'one.example', one)
  const certificates = stack.use(await Certificates.open({ folder, clock, log: noLog, lookEveryMs: 1e9 }))
  const tls = tlsServer({ certificates, exchanges, log: noLog, handshakeWithinMs: 1_000 })
  tls.listen(0, HERE)
  await once(tls, 'listening')
  stack.defer(() => void tls.close())
  stack.defer(() => exchanges[Symbol.dispose]())
  const state = () => ({
    all: counts.of('all'),
    here: counts.of(HERE),
    open: exchanges.counted.open,
    served: exchanges.open,
    webSockets: exchanges.counted.webSocketsOpen,
  })
  return {
    clock,
    held,
    exchanges,
    counters: exchanges.counters,
    state,
    port: plain.port,
    tlsPort: (tls.address() as AddressInfo).port,
    client: (send = '') => new RawClient(plain.port, send),
    /** A TLS client that has completed its handshake. */
    async secure(ALPNProtocols: string[] = []) {
      const socket = connect({
        port: (tls.address() as AddressInfo).port,
        host: HERE,
        servername: 'one.example',
        ca: one.cert,
        ALPNProtocols,
      })
      await once(
        socket.on('error', () => undefined),
        'secureConnect',
      )
      return socket
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

type Front = Awaited<ReturnType<typeof serving>>

const ways: [what: string, come: (front: Front) => Promise<unknown>][] = [
  ['asks and leaves', front => left(front.client(get('/')), 'answer')],
  ['asks for nothing', async front => resets(front, front.client())],
  ['leaves in the middle of a head', async front => resets(front, front.client('GET / HT'))],
  ['leaves before the answer', front => leaves(front, get('/never'))],
  ['sends what is no request', front => front.client('nonsense\r\n\r\n').closed()],
  [
    'sends too much',
    front => front.client(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n`).until(' 413 '),
  ],
  ['has had its requests', front => front.client(get('/').repeat(3)).closed()],
  [
    'keeps its connection with HTTP/1.0',
    front => left(front.client('GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n'), 'answer'),
  ],
  ['leaves before the answer to HTTP/1.0', front => leaves(front, 'GET /never HTTP/1.0\r\nHost: a\r\n\r\n')],
  ['upgrades', front => left(front.client(UPGRADE), ' 101 ')],
  ['is refused an upgrade', front => front.client(UPGRADE.replace('GET / ', 'GET /opened ')).closed()],
  ['opens', front => left(front.client(get('/opened')), 'opened')],
  ['leaves before it is opened', front => leavesHeld(front, get('/held/opened'))],
  [
    'leaves before it is opened, by HTTP/1.0',
    front => leavesHeld(front, 'GET /held/opened HTTP/1.0\r\nHost: a\r\n\r\n'),
  ],
  ['leaves before it is forwarded', front => leavesHeld(front, get('/held'))],
  ['leaves before it is switched', front => leavesHeld(front, UPGRADE.replace('GET / ', 'GET /held '))],
  [
    'comes when there are as many as may be',
    async front => {
      const all = Array.from({ length: MOST }, () => front.client(get('/held')))
      await until(() => front.held.length === MOST)
      await front.client(get('/')).until(' 429 ')
      for (const go of front.held.splice(0)) go()
      for (const client of all) await left(client, 'answer')
    },
  ],
  [
    'speaks TLS',
    async front => {
      const socket = await front.secure()
      socket.write(get('/'))
      await once(socket, 'data')
      socket.destroy()
    },
  ],
  ['speaks no TLS where it should', front => new RawClient(front.tlsPort, 'no client hello').closed()],
  ['speaks HTTP to the port of HTTPS', front => new RawClient(front.tlsPort, get('/')).closed()],
  ['never ends its handshake', front => new RawClient(front.tlsPort, '\x16\x03\x01\x02').closed()],
  ['leaves in its handshake', async front => resets(front, new RawClient(front.tlsPort, '\x16\x03\x01\x02'))],
  [
    'upgrades over TLS',
    async front => {
      const socket = await front.secure()
      socket.write(UPGRADE)
      await once(socket, 'data')
      socket.destroy()
    },
  ],
  [
    'speaks HTTP/2, and leaves with a request under way',
    async front => {
      const options = { ca: one.cert, lookup, servername: 'one.example' } as object
      using client = h2Client(`https://one.example:${front.tlsPort}`, options)
      assert.equal((await client.ask({ ':authority': 'one.example' })).status, 200)
      client.request({ ':authority': 'one.example', ':path': '/never' }).on('error', () => undefined)
      client.request({ ':authority': 'one.example', ':path': '/held/opened' }).on('error', () => undefined)
      await until(() => front.held.length === 1)
      client.session.destroy()
      for (const go of front.held.splice(0)) go()
    },
  ],
  [
    'agrees upon HTTP/2 and speaks something else',
    async front => {
      const socket = await front.secure(['h2'])
      socket.write('GET / HTTP/1.1\r\n\r\n'.repeat(3))
      await once(socket.resume(), 'close')
    },
  ],
]

test('whatever way a connection goes, its counts are given back, once', async () => {
  await using front = await serving()
  const nothing = { all: 0, here: 0, open: 0, served: 0, webSockets: 0 }
  for (const [what, come] of ways) {
    await come(front)
    // Closes connections that linger or are idle.
    for (let looks = 0; looks < 200 && front.state().open > 0; looks += 1) await front.clock.advance(500)
    await until(
      () => front.state().open === 0,
      () => what,
    )
    assert.deepEqual(front.state(), nothing, what)
    const { idle } = front.counters
    await front.clock.advance(100_000)
    assert.equal(front.counters.idle, idle, `${what}: it is looked at still`)
  }
  assert.equal(front.clock.waiting, 2, 'the look at all connections, and at the certificates')
  const [first, second] = [front.client(get('/')), front.client(get('/'))]
  await first.until('answer')
  await second.until('answer')
  assert.deepEqual(front.state(), { all: 2, here: 2, open: 2, served: 2, webSockets: 0 })
  first.socket.destroy()
  second.socket.destroy()
})

const lookup = (_name: string, options: { all?: boolean }, done: (...all: unknown[]) => void): void =>
  options.all ? done(null, [{ address: HERE, family: 4 }]) : done(null, HERE, 4)

async function left(client: RawClient, with_: string): Promise<void> {
  await client.until(with_)
  client.socket.destroy()
}

async function resets(front: Front, client: RawClient): Promise<void> {
  await until(() => front.state().open === 1)
  client.socket.resetAndDestroy()
}

/** A client that leaves while its request is being forwarded. */
async function leaves(front: Front, request: string): Promise<void> {
  const { requests } = front.counters
  const client = front.client(request)
  await until(() => front.counters.requests > requests)
  client.socket.resetAndDestroy()
}

/** A client that leaves while its request is held. The request goes on afterwards. */
async function leavesHeld(front: Front, request: string): Promise<void> {
  const client = front.client(request)
  await until(() => front.held.length === 1)
  client.socket.resetAndDestroy()
  await until(() => front.state().open === 0)
  for (const go of front.held.splice(0)) go()
}
