import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer as createHttpServer, get as getPlain, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer, get as getSecured } from 'node:https'
import { createServer, connect as dialPlain, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext, createServer as createTlsServer, connect as dialTls } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { noLog } from '../../lib/log.ts'
import { authorityCertificate, certificateRequest, newPrivateKey, signCertificate } from '../../lib/tls/x509.ts'
import { destinationsOf, egress } from '../../model/egress.ts'
import { hostname } from '../../model/hostname.ts'
import type { WireCredential } from '../../model/wire.ts'
import { HandClock } from '../../testing/clock.ts'
import { EgressProxy } from './proxy.ts'
import { ServedApps } from './served-apps.ts'
import { WireAuthority } from './wire-authority.ts'

const APP = '127.0.0.1'
const HOST = '127.0.0.1'
let clock: HandClock
let folder: string
let authority: WireAuthority
/** The key and the certificate of hosts. */
let host: { readonly key: string; readonly cert: string }
let apps: ServedApps
let proxy: EgressProxy
let address: string[]
let open: boolean
let wire: WireCredential[]
const opened: { close(): void }[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-egress-'))
  authority = new WireAuthority(folder, systemClock)
  const times = { from: Date.now() - 1e6, until: Date.now() + 1e9 }
  const [key, own] = [newPrivateKey(), newPrivateKey()]
  const ca = await authorityCertificate({ name: 'outside', key, ...times })
  const leaf = await signCertificate(
    { certificate: ca, key },
    {
      request: await certificateRequest(own),
      name: 'hosts',
      hosts: ['a.example', 'b.example'],
      isServer: true,
      ...times,
    },
  )
  host = { key: own, cert: `${leaf}\n${ca}` }
})
afterAll(() => rm(folder, { recursive: true }))
beforeEach(() => {
  clock = new HandClock()
  apps = new ServedApps(clock)
  address = [HOST]
  open = true
  wire = []
  proxy = new EgressProxy({
    apps,
    lookup: { find: async () => ({ addresses: address, ttlSeconds: 1 }) },
    authority,
    trust: createSecureContext({ ca: host.cert }),
    mayConnect: () => open,
    frontPorts: () => [],
    clock,
    log: noLog,
  })
})
afterEach(async () => {
  await proxy[Symbol.asyncDispose]()
  for (const one of opened.splice(0)) one.close()
})

/** Lets the app reach the server by these names; resolves with the port of the proxy. */
async function proxied(server: Server, ...names: string[]): Promise<number> {
  const port = await listening(server)
  allow(port, ...names)
  return (await proxy.listen('127.0.0.1', new Set([port]))).get(port) ?? 0
}
function allow(port: number, ...names: string[]): void {
  const reaches = destinationsOf(names.map(name => egress(`${name}:${port}`)))
  apps.replace(new Map([[APP, { ...reaches, wire }]]))
}
async function listening(server: Server): Promise<number> {
  server.listen(0, HOST)
  await once(server, 'listening')
  opened.push(server)
  return (server.address() as { port: number }).port
}
function client(port: number): Socket {
  const socket = dialPlain(port, '127.0.0.1')
  socket.on('error', () => undefined)
  opened.push({ close: () => socket.destroy() })
  return socket
}
const closed = (socket: Socket) => new Promise<void>(resolve => socket.once('close', () => resolve()))
/** All that comes until the connection ends. */
async function read(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk))
  await closed(socket)
  return Buffer.concat(chunks).toString('latin1')
}
const refused = () => apps.at(APP)?.refused.all.map(({ to, why }) => `${to.replace(/:\d+$/, '')}: ${why}`)
const echo = () =>
  createHttpServer((request, response) => {
    request.resume().on('end', () => response.end(`${request.headers.host} ${request.url}`))
  })

test('each request of a connection is sent to the host that it names, if the app may reach it', async () => {
  const port = await proxied(echo(), 'a.example', 'b.example')
  const socket = client(port)
  socket.write(
    `${['a.example', 'evil.example', 'B.example', 'a.example:1']
      .map(host => `GET /${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
      .join('')}GET /last HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`,
  )
  const answers = await read(socket)
  expect(answers.match(/HTTP\/1.1 \d+/g)).toEqual([200, 403, 200, 403, 200].map(status => `HTTP/1.1 ${status}`))
  expect(answers).toContain('a.example /a.example')
  expect(answers).toContain('B.example /B.example')
  expect(answers).toContain('"code":"egress-refused"')
  expect(refused()).toEqual(['evil.example: its egress does not name it', 'a.example: its Host names port 1'])
})

test('a target that is a URL names the host, and what is no request of HTTP/1.1 with one host is refused', async () => {
  const port = await proxied(echo(), 'a.example')
  const status = async (head: string) => {
    const socket = client(port)
    socket.end(head)
    return /^HTTP\/1.1 (\d+)/.exec(await read(socket))?.[1]
  }
  const close = 'Connection: close\r\n\r\n'
  expect(await status(`GET http://a.example/x HTTP/1.1\r\nHost: evil.example\r\n${close}`)).toBe('200')
  expect(await status(`GET http://evil.example/x HTTP/1.1\r\nHost: a.example\r\n${close}`)).toBe('403')
  for (const head of [
    `GET / HTTP/1.1\r\n${close}`,
    `GET / HTTP/1.1\r\nHost: a.example\r\nHost: evil.example\r\n${close}`,
    `GET / HTTP/1.1\r\nHost : a.example\r\n${close}`,
    `GET / HTTP/1.1\r\nHost: a.example evil.example\r\n${close}`,
    `POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n${close}`,
    'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ])
    expect(await status(head), head).toMatch(/^(400|403|501|505)$/)
  expect(await status(`CONNECT evil.example:443 HTTP/1.1\r\nHost: a.example\r\n${close}`)).toMatch(/^[45]/)
  expect(await status(`GET / HTTP/1.1\r\nHost: 203.0.113.7\r\n${close}`)).toBe('403')
})

test('a host that leads to a private network is refused', async () => {
  const port = await proxied(echo(), 'a.example')
  open = false
  const socket = client(port)
  socket.end('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
  expect(await read(socket)).toMatch(/^HTTP\/1.1 403/)
  address = []
  const again = client(port)
  again.end('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
  expect(await read(again)).toMatch(/^HTTP\/1.1 403/)
  expect(refused()).toEqual(['a.example: there is no such host'])
})

test('a host that does not answer is 502, and another app is not served at all', async () => {
  const port = await proxied(echo(), 'a.example')
  for (const one of opened.splice(0)) one.close()
  const socket = client(port)
  socket.end('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
  expect(await read(socket)).toMatch(/^HTTP\/1.1 502/)
  apps.replace(new Map())
  const other = client(port)
  other.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
  expect(await read(other)).toBe('')
})

async function tlsEcho(): Promise<Server> {
  return createTlsServer(host, socket => {
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
}
/** The answer to a client of TLS that says something: what comes back, or why the connection ended. */
async function says(port: number, servername: string): Promise<string> {
  const socket = dialTls({ port, host: '127.0.0.1', servername, rejectUnauthorized: false })
  opened.push({ close: () => socket.destroy() })
  const failed = closed(socket)
  let why: NodeJS.ErrnoException | undefined
  socket.on('error', error => {
    why = error
  })
  const secured = await Promise.race([
    once(socket, 'secureConnect').catch(() => undefined),
    failed.then(() => undefined),
  ])
  if (secured === undefined) return why?.code ?? 'ended'
  socket.end(`hello ${socket.getPeerCertificate().subject.CN}`)
  const [chunk] = await once(socket, 'data')
  await failed
  return String(chunk)
}

test('TLS goes to the host that its ClientHello names, which decrypts it itself', async () => {
  const port = await proxied(await tlsEcho(), 'a.example')
  expect(await says(port, 'a.example')).toBe('hello hosts')
  expect(await says(port, 'evil.example')).toMatch(/ALERT/)
  expect(await says(port, '')).toBe('ERR_SSL_TLSV1_UNRECOGNIZED_NAME')
  expect(refused()).toEqual(['evil.example: its egress does not name it', '?: TLS without the name of a host'])
  open = false
  expect(await says(port, 'a.example')).toMatch(/ALERT/)
})

test('bytes that only begin as TLS does are refused; a client that says nothing is cut after a while', async () => {
  const port = await proxied(await tlsEcho(), 'a.example')
  const odd = client(port)
  odd.write(Buffer.from([0x16, 3, 1, 0, 4, 2, 0, 0, 0]))
  expect((await read(odd)).charCodeAt(0)).toBe(0x15)
  const silent = client(port)
  await once(silent, 'connect')
  await new Promise(resolve => setImmediate(resolve))
  const cut = closed(silent)
  while (!silent.destroyed) {
    await clock.advance(10_000)
    await new Promise(resolve => setImmediate(resolve))
  }
  await cut
})

test('a name that the app may no longer reach loses its open connections, and the others stay', async () => {
  const sockets: Socket[] = []
  const server = createServer(socket => void sockets.push(socket.on('error', () => undefined)))
  const port = await proxied(server, 'a.example', 'b.example')
  const target = (server.address() as { port: number }).port
  const [a, b] = [client(port), client(port)]
  for (const [socket, host] of [
    [a, 'a.example'],
    [b, 'b.example'],
  ] as const) {
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    await once(server, 'connection')
  }
  allow(target, 'b.example')
  await closed(a)
  expect(b.destroyed).toBe(false)
  apps.replace(new Map())
  await closed(b)
  for (const socket of sockets) socket.destroy()
})

const SECRET = 'sk-live-1234'
const credential = (changes: Partial<WireCredential> = {}): WireCredential => ({
  secret: 'API_KEY',
  host: hostname('a.example'),
  header: 'X-Api-Key',
  format: 'key {}',
  value: SECRET,
  ...changes,
})
/** Answers with the header lines that came. */
const mirror = (request: IncomingMessage, response: { end(text: string): void }): void =>
  response.end(request.rawHeaders.join('|'))

/** Asks the host by the proxy; resolves with status and body. */
async function ask(port: number, name: string, headers: Record<string, string>, ca?: string): Promise<string> {
  const options = { port, host: '127.0.0.1', agent: false, headers: { host: name, ...headers } }
  const request = ca === undefined ? getPlain(options) : getSecured({ ...options, ca, servername: name })
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  return `${answer.statusCode} ${(await answer.toArray()).join('')}`
}

test('a secret is added to each request to its host, in place of what the app sends, and to no other host', async () => {
  wire = [credential(), credential({ header: 'Authorization', format: 'Bearer {}' })]
  const port = await proxied(createHttpServer(mirror), 'a.example', 'b.example')
  const sent = {
    'X-Api-Key': 'fake',
    x_api_key: 'fake',
    authorization: 'Bearer added-by-shadow',
    connection: 'x-api-key',
  }
  expect(await ask(port, 'a.example', sent)).toBe(
    `200 host|a.example|X-Api-Key|key ${SECRET}|Authorization|Bearer ${SECRET}`,
  )
  const other = await ask(port, 'b.example', sent)
  expect(other).toContain('authorization|Bearer added-by-shadow')
  expect(other).not.toContain(SECRET)
})

test('over HTTPS too: the app trusts its node for that host alone, and the node checks the host', async () => {
  wire = [credential()]
  const port = await proxied(createHttpsServer(host, mirror), 'a.example', 'b.example')
  const ca = await readFile(`${await authority.folder()}/bundle.pem`, 'utf8')
  expect(await ask(port, 'a.example', { 'x-api-key': 'fake' }, ca)).toBe(`200 host|a.example|X-Api-Key|key ${SECRET}`)
  // The TLS of another host is not ended here: the app sees the host's own certificate.
  await expect(ask(port, 'b.example', {}, ca)).rejects.toThrow(/unable to|self-signed/)
  expect(await ask(port, 'b.example', {}, host.cert)).toBe('200 host|b.example|Connection|close')
  // In the TLS connection for the one host, a request to another one is refused.
  const crossed = getSecured({
    port,
    host: '127.0.0.1',
    agent: false,
    ca,
    servername: 'a.example',
    headers: { host: 'b.example' },
  })
  const [answer] = (await once(crossed, 'response')) as [IncomingMessage]
  expect(answer.statusCode).toBe(403)
  crossed.destroy()
})

test('a host whose certificate is not trusted, or is for another name, gets no secret', async () => {
  wire = [credential(), credential({ host: hostname('c.example') })]
  const seen: string[] = []
  const port = await proxied(
    createHttpsServer(host, (request, response) => {
      seen.push(request.url ?? '')
      response.end()
    }),
    'a.example',
    'c.example',
  )
  const ca = await readFile(`${await authority.folder()}/ca.pem`, 'utf8')
  const answer = await ask(port, 'c.example', {}, ca)
  expect(answer).toMatch(/^502 .*"code":"egress-failed"/)
  expect(answer).not.toContain(SECRET)
  expect(seen).toEqual([])
})

test('a secret that is missing, or cannot be in a header, refuses the request; so does TRACE', async () => {
  const port = await proxied(createHttpServer(mirror), 'a.example')
  const target = Number([...(apps.at(APP)?.reaches.hosts ?? [])][0]?.ports[0])
  for (const value of [undefined, 'two\nlines']) {
    wire = [credential({ value })]
    allow(target, 'a.example')
    const answer = await ask(port, 'a.example', { 'x-api-key': 'fake' })
    expect(answer).toMatch(/^403 .*its secret API_KEY has no value/)
    expect(answer).not.toContain('lines')
  }
  wire = [credential()]
  allow(target, 'a.example')
  const trace = client(port)
  trace.end('TRACE / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
  const answer = await read(trace)
  expect(answer).toMatch(/^HTTP\/1.1 403/)
  expect(answer).not.toContain(SECRET)
})

test('the key of the authority is for its node alone, and the authority outlives a restart', async () => {
  const at = await authority.folder()
  const before = await readFile(`${at}/ca.pem`, 'utf8')
  expect((await stat(`${folder}/ca-key.pem`)).mode & 0o777).toBe(0o600)
  expect((await stat(`${at}/bundle.pem`)).mode & 0o777).toBe(0o644)
  expect(await readFile(`${at}/bundle.pem`, 'utf8')).not.toContain('PRIVATE')
  const again = new WireAuthority(folder, systemClock)
  expect(await readFile(`${await again.folder()}/ca.pem`, 'utf8')).toBe(before)
})
