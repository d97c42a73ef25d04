import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Server } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { connect } from 'node:tls'
import { test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { isFailure } from '../lib/errors.ts'
import { certificatesFolder, putCertbot, putPair, selfSigned } from '../testing/certificates.ts'
import { aFront, aNode, aNodeListener, anApp, FakeConnector, masterOf } from '../testing/front.ts'
import { answerTo, h2Client } from '../testing/h2-forwarding.ts'
import { httpApp, RawClient, until } from '../testing/wire.ts'

const blog = selfSigned('blog.example')
const wild = selfSigned('*.apps.example')

const echoing = (server: Server): void =>
  void new WebSocketServer({ server }).on('connection', socket =>
    socket.on('message', (message: Buffer) => socket.send(message)),
  )

async function started(settings: Record<string, string> = {}) {
  const folder = certificatesFolder()
  putCertbot(folder, 'blog.example', blog)
  putPair(folder, '_wildcard.apps.example', wild)
  const stack = new AsyncDisposableStack()
  const waiting: (() => void)[] = []
  const app = stack.use(
    await httpApp((request, response) => {
      const answer = () => response.end(`${request.headers.host} by ${request.headers['x-forwarded-proto']}`)
      if (request.url === '/slow') waiting.push(answer)
      else answer()
    }, echoing),
  )
  const apps = [anApp('blog', ['blog.example']), anApp('shop', ['shop.apps.example'])]
  const master = stack.use(await masterOf(apps, [aNode('n1', '127.0.0.1:1')]))
  const connector = new FakeConnector(() => ({ address: app.address }))
  const front = await aFront({
    master: master.url,
    connector,
    settings: { SHADOW_TLS_LISTEN: '127.0.0.1:0', SHADOW_TLS_CERTIFICATES: folder, ...settings },
  })
  const port = front.tls?.port ?? 0
  return {
    front,
    connector,
    waiting,
    port,
    client: (name: string, ca: string) => h2Client(`https://127.0.0.1:${port}`, { ca, servername: name }),
    async [Symbol.asyncDispose]() {
      await front[Symbol.asyncDispose]()
      await stack.disposeAsync()
    },
  }
}

const overHttp1 = (port: number, name: string, ca: string) =>
  new Promise<string>((resolve, reject) => {
    httpsRequest({ port, host: '127.0.0.1', servername: name, ca, agent: false, headers: { host: name } })
      .on('response', answer => resolve(text(answer)))
      .on('error', reject)
      .end()
  })

test('apps answer over HTTPS, by HTTP/2 and by HTTP/1.1, each by its certificate; and over HTTP beside it', async () => {
  await using there = await started()
  for (const [name, ca] of [
    ['blog.example', blog.cert],
    ['shop.apps.example', wild.cert],
  ] as const) {
    using client = there.client(name, ca)
    const { status, body, headers } = await client.ask({ ':authority': name })
    assert.deepEqual([status, body, headers['x-shadow-node']], [200, `${name} by https`, 'n1'])
    assert.equal(await overHttp1(there.port, name, ca), `${name} by https`)
  }
  using plain = new RawClient(there.front.port, 'GET / HTTP/1.1\r\nHost: blog.example\r\n\r\n')
  await plain.until('blog.example by http')
  await until(() => there.connector.held === 0)
})

test('a host that is no app is told so by HTTP/2, and one that the connection is not for is misdirected', async () => {
  await using there = await started()
  using client = there.client('shop.apps.example', wild.cert)
  const unknown = await client.ask({ ':authority': 'other.apps.example' })
  assert.deepEqual([unknown.status, unknown.headers['x-shadow-error']], [404, 'host-unknown'])
  const misdirected = await client.ask({ ':authority': 'blog.example' })
  assert.deepEqual([misdirected.status, misdirected.headers['x-shadow-error']], [421, 'misdirected'])
})

test('a front that stops lets requests of both protocols end, and takes no more', async () => {
  await using there = await started()
  using client = there.client('blog.example', blog.cert)
  const stream = client.request({ ':authority': 'blog.example', ':path': '/slow' })
  const answer = answerTo(stream)
  await until(() => there.waiting.length === 1)
  const stopped = there.front[Symbol.asyncDispose]()
  await until(() => client.session.closed)
  await assert.rejects(overHttp1(there.port, 'blog.example', blog.cert))
  there.waiting[0]?.()
  assert.equal((await answer).body, 'blog.example by https')
  await stopped
})

test('a WebSocket over TLS passes short and long messages, and is told when the front stops', async () => {
  await using there = await started()
  const socket = new WebSocket(`wss://127.0.0.1:${there.port}/`, {
    agent: new Agent({ ca: blog.cert, servername: 'blog.example' }),
    headers: { host: 'blog.example' },
  })
  await once(socket, 'open')
  const messages = [5, 3_000_000, 100, 40_000, 1].map(length => Buffer.alloc(length, `${length}`))
  const echoes: Buffer[] = []
  socket.on('message', (echo: Buffer) => echoes.push(echo))
  for (const message of messages) socket.send(message)
  await until(() => echoes.length === messages.length)
  assert(messages.every((message, at) => message.equals(echoes[at] ?? Buffer.alloc(0))))
  const closed = once(socket, 'close')
  await there.front[Symbol.asyncDispose]()
  assert.equal((await closed)[0], 1001)
})

test('a folder of certificates that is not there keeps the front from starting, and says which', async () => {
  await assert.rejects(
    started({ SHADOW_TLS_CERTIFICATES: '/nowhere/at-all' }),
    error =>
      isFailure(error, 'bad-input') &&
      /^SHADOW_TLS_LISTEN is set, and the folder of certificates \/nowhere\/at-all is not there$/.test(error.message),
  )
})

test('all workers serve HTTPS on one port, and a session of one is resumed by another', async () => {
  const folder = certificatesFolder()
  putCertbot(folder, 'blog.example', blog)
  await using app = await httpApp((_request, response) => response.end('hello'))
  await using node = await aNodeListener(app)
  await using master = await masterOf([anApp('blog', ['blog.example'])], [aNode('a', node.address)])
  await using front = await aFront({
    master: master.url,
    settings: { SHADOW_WORKERS: '2', SHADOW_TLS_LISTEN: '127.0.0.1:0', SHADOW_TLS_CERTIFICATES: folder },
  })
  const port = front.tls?.port ?? 0
  let session: Buffer | undefined
  let most = 0
  for (let round = 0; round < 20; round++) {
    const client = connect({ port, host: '127.0.0.1', servername: 'blog.example', ca: blog.cert, session })
    client.on('session', told => {
      session = told
    })
    await once(client, 'secureConnect')
    assert.equal(client.isSessionReused(), round > 0, `round ${round}`)
    client.write('GET / HTTP/1.1\r\nHost: blog.example\r\nConnection: close\r\n\r\n')
    assert.match(await text(client), /hello/)
    most = Math.max(most, node.sockets.size)
  }
  assert.ok(most >= 2, 'both served')
})

test('the keys of tickets are new for all workers: none takes an old ticket, and a new one is good at each', async () => {
  const folder = certificatesFolder()
  putCertbot(folder, 'blog.example', blog)
  await using master = await masterOf([], [])
  await using front = await aFront({
    master: master.url,
    settings: { SHADOW_WORKERS: '2', SHADOW_TLS_LISTEN: '127.0.0.1:0', SHADOW_TLS_CERTIFICATES: folder },
  })
  const visit = async (session?: Buffer) => {
    const client = connect({ port: front.tls?.port ?? 0, servername: 'blog.example', ca: blog.cert, session })
    const told = new Promise<Buffer>(resolve => client.once('session', resolve))
    await once(client, 'secureConnect')
    const isResumed = client.isSessionReused()
    const ticket = isResumed ? undefined : await told
    client.destroy()
    return { isResumed, ticket }
  }
  const visits = async (session: Buffer | undefined) => {
    const resumed = new Set<boolean>()
    for (let round = 0; round < 20; round++) resumed.add((await visit(session)).isResumed)
    return [...resumed]
  }
  const first = await visit()
  assert.deepEqual(await visits(first.ticket), [true])
  await front.clock.leap(12 * 3_600_000)
  await front.metrics.text() // the answers of the workers come after the new keys have reached them
  const second = await visit(first.ticket)
  assert.deepEqual([second.isResumed, await visits(first.ticket)], [false, [false]])
  assert.deepEqual(await visits(second.ticket), [true])
})
