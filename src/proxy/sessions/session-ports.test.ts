import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { App } from '../../model/app.ts'
import { OPEN_VISITS_CHECKED_EVERY } from '../../model/intervals.ts'
import { certificatesFolder, putPair, selfSigned } from '../../testing/certificates.ts'
import { aFront, aNode, anApp, FakeConnector, masterOf } from '../../testing/front.ts'
import { h2Client } from '../../testing/h2-forwarding.ts'
import { ANNS_TOKEN, aSession, SESSION_HOST } from '../../testing/sessions.ts'
import { RawClient, rawApp, recorder } from '../../testing/wire.ts'

const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

/** A session whose container has two servers: `main` and `side`. Their requests are told apart by what each has seen. */
async function serving(apps: App[], settings: Record<string, string> = {}) {
  const stack = new AsyncDisposableStack()
  const main = stack.use(await recorder())
  const side = stack.use(await recorder())
  const master = stack.use(await masterOf(apps, [aNode('one', '127.0.0.1:1')]))
  const alive = { count: 0 }
  const connector = new FakeConnector(() => ({
    address: main.address,
    run: 'the-run',
    refused: () => Promise.reject(new Error('the main port is waited for')),
    alive: async () => void alive.count++,
  }))
  const front = stack.use(await aFront({ master: master.url, connector, settings }))
  return {
    main,
    side,
    front,
    connector,
    alive,
    async ask(host: string, path = `/${ANNS_TOKEN}/`, ...headers: string[]): Promise<string> {
      const head = [`GET ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...headers]
      using client = new RawClient(front.port, `${head.join('\r\n')}\r\n\r\n`)
      return await client.closed()
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

const code = (answer: string): string | undefined => /x-shadow-error: (\S+)/i.exec(answer)?.[1]
const status = (answer: string): number => Number(answer.slice(9, 12))

test('a hostname with a port leads to that port of the session, with the same token and the same headers', async () => {
  await using session = await serving([aSession({ ports: 'all' })])
  const host = `${session.side.port}-${SESSION_HOST}`
  assert.equal(status(await session.ask(host, `/${ANNS_TOKEN}/a`)), 200)
  assert.equal(session.main.seen.text, '')
  assert.match(session.side.seen.text, /^GET \/a HTTP\/1\.1\r\n/)
  assert.match(session.side.seen.text, new RegExp(`\r\nHost: ${host}\r\n`, 'i'))
  assert.match(session.side.seen.text, /\r\nX-Verified-User: ann\r\n/)
  assert.match(session.side.seen.text, /\r\nX-Forwarded-For: 127\.0\.0\.1\r\n/i)
  assert.doesNotMatch(session.side.seen.text, /x-shadow-port/i)
  assert.equal(session.connector.holdRequests.at(-1)?.what, `GET /a at port ${session.side.port} from 127.0.0.1`)
  session.side.seen.text = ''
  assert.equal(status(await session.ask(SESSION_HOST, `/${ANNS_TOKEN}/b`, 'X-Shadow-Port: 1')), 200)
  assert.match(session.main.seen.text, /^GET \/b HTTP\/1\.1\r\n/)
  assert.equal(session.side.seen.text, '')
})

test('connections that are kept for one port serve no request for another', async () => {
  await using session = await serving([aSession({ ports: 'all' })])
  using client = new RawClient(session.front.port)
  for (const [host, seen] of [
    [SESSION_HOST, session.main.seen],
    [`${session.side.port}-${SESSION_HOST}`, session.side.seen],
    [SESSION_HOST, session.main.seen],
  ] as const) {
    seen.text = ''
    client.text = ''
    client.send(`GET /${ANNS_TOKEN}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    await client.until('\r\n\r\nok')
    assert.match(seen.text, /^GET \/ /, host)
  }
})

test('where everybody may visit, everybody may visit its ports', async () => {
  await using session = await serving([aSession({ ports: 'all', visitors: 'all', tokens: [] })])
  assert.equal(status(await session.ask(`${session.side.port}-${SESSION_HOST}`, '/')), 200)
  assert.match(session.side.seen.text, /^GET \/ /)
})

test('strangers get to no port, and the main port is the only one unless the template opens all', async () => {
  for (const [ports, path, expected] of [
    ['all', '/', 'token-missing'],
    ['main', `/${ANNS_TOKEN}/`, 'port-not-open'],
    [undefined, `/${ANNS_TOKEN}/`, 'port-not-open'],
    ['main', '/', 'token-missing'],
  ] as const) {
    await using session = await serving([aSession({ ports })])
    assert.equal(code(await session.ask(`${session.side.port}-${SESSION_HOST}`, path)), expected)
    assert.equal(session.side.seen.text, '')
    assert.deepEqual(session.connector.holdRequests, [])
  }
})

test('a port on which nothing listens is told at once, and nobody waits for the main port', async () => {
  await using session = await serving([aSession({ ports: 'all' })])
  const { port } = await closedPort()
  const answer = await session.ask(`${port}-${SESSION_HOST}`)
  assert.deepEqual([status(answer), code(answer)], [502, 'app-unreachable'])
  assert.equal(session.alive.count, 1)
  assert.equal(session.connector.held, 0)
})

test('what is no port in decimal is no hostname', async () => {
  await using session = await serving([aSession({ ports: 'all' })])
  for (const label of ['0', '08', '65536'])
    assert.equal(code(await session.ask(`${label}-${SESSION_HOST}`)), 'host-unknown', label)
})

test('an app that is no session may have a hostname that looks like a port of one', async () => {
  const host = `3000-${SESSION_HOST}`
  await using session = await serving([anApp('blog', [host])])
  assert.equal(status(await session.ask(host, '/a')), 200)
  assert.match(session.main.seen.text, /^GET \/a /)
})

test('by HTTP/2 a port is reached under the wildcard certificate of the template', async () => {
  const folder = certificatesFolder()
  const wildcard = selfSigned('*.editor.localhost')
  putPair(folder, '_wildcard.editor.localhost', wildcard)
  const settings = { SHADOW_TLS_LISTEN: '127.0.0.1:0', SHADOW_TLS_CERTIFICATES: folder }
  await using session = await serving([aSession({ ports: 'all' })], settings)
  const host = `${session.side.port}-${SESSION_HOST}`
  const url = `https://127.0.0.1:${session.front.tls?.port}`
  using client = h2Client(url, { ca: wildcard.cert, servername: host })
  const answer = await client.ask({ ':authority': host, ':path': `/${ANNS_TOKEN}/a` })
  assert.deepEqual([answer.status, answer.body], [200, 'ok'])
  assert.match(session.side.seen.text, /^GET \/a HTTP\/1\.1\r\n/)
})

test('a WebSocket to a port ends when its token is revoked', async () => {
  await using side = await rawApp(socket => {
    socket.once('data', () => {
      socket.write(SWITCHED)
      socket.once('data', () => socket.end())
    })
  })
  const apps = [aSession({ ports: 'all' })]
  await using session = await serving(apps)
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
  const head = `GET /${ANNS_TOKEN}/ HTTP/1.1\r\nHost: ${side.port}-${SESSION_HOST}\r\n${upgrade}\r\n`
  using client = new RawClient(session.front.port, head)
  await client.until('101 ')
  assert.equal(session.connector.held, 1)
  apps[0] = { ...aSession({ ports: 'all', tokens: [] }), updatedAt: '2027-01-15T08:00:01.000Z' }
  while (session.connector.held > 0) await session.front.clock.advance(OPEN_VISITS_CHECKED_EVERY)
  await client.until(/\x88/) // the frame that closes it (RFC 6455, 5.5.1)
})

async function closedPort(): Promise<{ readonly port: number }> {
  const opened = await rawApp(() => undefined)
  await opened[Symbol.asyncDispose]()
  return opened
}
