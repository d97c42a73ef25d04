import assert from 'node:assert/strict'
import { once } from 'node:events'
import { constants } from 'node:http2'
import { type Agent, request as httpsRequest } from 'node:https'
import { buffer, text } from 'node:stream/consumers'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { test } from 'vitest'
import { certificatesFolder, putCertbot, putPair, selfSigned, selfSignedRsa } from '../../../testing/certificates.ts'
import { h2Client } from '../../../testing/h2-forwarding.ts'
import { FRAME, FrameClient, GET } from '../../../testing/h2-wire.ts'
import { secured } from '../../../testing/tls-forwarding.ts'
import { httpApp, RawClient, until } from '../../../testing/wire.ts'
import { Buckets } from '../../shared/buckets.ts'

const one = selfSigned('one.example', 'also.example')
const two = selfSigned('two.example')
const wild = selfSigned('*.wild.example')
const rsa = selfSignedRsa('rsa.example')

function folderOf(...more: string[]): string {
  const folder = certificatesFolder()
  putCertbot(folder, 'one.example', one)
  putPair(folder, 'two.example', two)
  putPair(folder, '_wildcard.wild.example', wild)
  for (const name of more) putPair(folder, name, selfSigned('fallback.example'))
  return folder
}

const echo = () =>
  httpApp((request, response) => void request.pipe(response.setHeader('x-saw', request.rawHeaders.join('|'))))

/** A TLS connection that checks the certificate as a browser would. */
async function dial(port: number, servername: string, ca: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', servername, ca, ...options })
  socket.on('error', () => undefined)
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  return socket
}

const over = (port: number, servername: string, ca: string, host = servername, agent: Agent | false = false) =>
  new Promise<{ status: number; body: string; saw: string }>((resolve, reject) => {
    httpsRequest({ port, host: '127.0.0.1', servername, ca, agent, method: 'POST', headers: { host } })
      .on('response', async answer =>
        resolve({ status: answer.statusCode ?? 0, saw: String(answer.headers['x-saw']), body: await text(answer) }),
      )
      .on('error', reject)
      .end('abc')
  })

test('HTTP/1.1 and HTTP/2 are served by the certificate of the name that is asked for', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf())
  for (const [name, ca] of [
    ['one.example', one.cert],
    ['two.example', two.cert],
    ['a.wild.example', wild.cert],
  ] as const) {
    const plain = await over(front.port, name, ca)
    assert.deepEqual([plain.status, plain.body], [200, 'abc'])
    assert.match(plain.saw, new RegExp(`host\\|${name}\\|.*X-Forwarded-Proto\\|https\\|X-Forwarded-Host\\|${name}`))
    using client = h2Client(`https://${name}:${front.port}`, { ca, lookup } as object)
    const { status, headers, body } = await client.ask({ ':method': 'POST', ':authority': name }, 'abc')
    assert.deepEqual([status, body], [200, 'abc'])
    assert.match(String(headers['x-saw']), /X-Forwarded-Proto\|https/)
    assert.equal(client.session.alpnProtocol, 'h2')
  }
})

test('ALPN: HTTP/2 is preferred, HTTP/1.1 served without, and an unknown protocol refused', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf())
  const chosen = async (ALPNProtocols?: string[]) => {
    const socket = await dial(front.port, 'one.example', one.cert, ALPNProtocols && { ALPNProtocols })
    socket.destroy()
    return socket.alpnProtocol
  }
  assert.equal(await chosen(['http/1.1', 'h2']), 'h2')
  assert.equal(await chosen(['http/1.1']), 'http/1.1')
  assert.equal(await chosen(), false)
  await assert.rejects(chosen(['spdy/3']), { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' })
})

test('an offer of HTTP/1.0 alone is served as HTTP/1.1 is', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf())
  for (const ALPNProtocols of [['http/1.0'], ['http/1.0', 'http/1.1']]) {
    const socket = await dial(front.port, 'one.example', one.cert, { ALPNProtocols })
    let answer = ''
    socket.setEncoding('latin1').on('data', chunk => {
      answer += chunk
    })
    for (const version of ['1.1', '1.0']) {
      answer = ''
      socket.write(`GET / HTTP/${version}\r\nHost: one.example\r\nConnection: keep-alive\r\n\r\n`)
      await until(() => /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n/.test(answer))
    }
    socket.destroy()
  }
})

test('what has no forward secrecy is refused, by TLS 1.2', async () => {
  await using app = await echo()
  const folder = folderOf()
  putPair(folder, 'rsa.example', rsa)
  await using front = await secured(app, folder)
  const by = (ciphers: string) =>
    dial(front.port, 'rsa.example', rsa.cert, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` })
  for (const cipher of ['AES128-SHA', 'AES128-GCM-SHA256', 'AES256-SHA256', 'ECDHE-RSA-AES128-SHA'])
    await assert.rejects(by(cipher), { code: 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE' }, cipher)
  const socket = await by('ECDHE-RSA-AES128-GCM-SHA256')
  assert.match(socket.getCipher().name, /^ECDHE-/)
  socket.destroy()
})

test('a name without a certificate is refused with unrecognized_name; with a default certificate it is not', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf())
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
    await assert.rejects(dial(front.port, 'three.example', one.cert, { maxVersion }), {
      code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME',
    })
  await assert.rejects(
    dial(front.port, '', one.cert, { rejectUnauthorized: false }),
    'nor is one without a name served',
  )
  await using other = await secured(app, folderOf('default'))
  for (const servername of ['three.example', '']) {
    const socket = await dial(other.port, servername, '', { rejectUnauthorized: false })
    assert.equal(socket.getPeerCertificate().subject.CN, 'fallback.example')
    socket.destroy()
  }
  assert.equal((await over(other.port, 'one.example', one.cert)).status, 200)
})

test('TLS 1.1 is refused, 1.2 and 1.3 are served', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf())
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await dial(front.port, 'one.example', one.cert, { minVersion: version, maxVersion: version })
    assert.equal(socket.getProtocol(), version)
    assert.match(socket.getCipher().standardName, /_AES_128_GCM_/)
    socket.destroy()
  }
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const
  await assert.rejects(dial(front.port, 'one.example', one.cert, old), /protocol version/)
})

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a session is resumed by a new connection, by a certificate that was renewed since, too: ${maxVersion}`, async () => {
    await using app = await echo()
    const folder = folderOf('default')
    await using front = await secured(app, folder)
    const first = await dial(front.port, 'one.example', one.cert, { maxVersion })
    const told = new Promise<Buffer>(resolve => first.once('session', resolve))
    first.write('GET / HTTP/1.1\r\nHost: one.example\r\n\r\n')
    // TLS 1.3 sends the ticket after the handshake.
    const ticket = maxVersion === 'TLSv1.3' ? await told : first.getSession()
    first.destroy()
    for (let round = 0; round < 2; round++) {
      const again = await dial(front.port, 'one.example', one.cert, { maxVersion, session: ticket as Buffer })
      assert.equal(again.isSessionReused(), true)
      again.write('GET / HTTP/1.1\r\nHost: one.example\r\n\r\n')
      await once(again, 'data')
      again.destroy()
      putCertbot(folder, 'one.example')
      putPair(folder, 'default')
      await front.certificates.read()
    }
  })
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
  test(`the keys of tickets are new twice a day; an old ticket leads to a whole handshake, and to a new one: ${version}`, async () => {
    await using app = await echo()
    const folder = folderOf('default')
    await using front = await secured(app, folder)
    const visit = async (session?: Buffer) => {
      const socket = await dial(front.port, 'one.example', one.cert, {
        maxVersion: version,
        ...(session && { session }),
      })
      const isResumed = socket.isSessionReused()
      const told = new Promise<Buffer>(resolve => socket.once('session', resolve))
      socket.write('GET / HTTP/1.1\r\nHost: one.example\r\n\r\n')
      assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 200 /)
      // TLS 1.3 sends the ticket after the handshake, but none after a resumed one.
      const ticket = version === 'TLSv1.3' && !isResumed ? await told : socket.getSession()
      socket.destroy()
      return { isResumed, ticket }
    }
    const first = await visit()
    await front.ticketClock.advance(12 * 3_600_000 - 1)
    assert.deepEqual([first.isResumed, (await visit(first.ticket)).isResumed], [false, true])
    await front.ticketClock.advance(1)
    const second = await visit(first.ticket)
    assert.equal(second.isResumed, false)
    // After this, the server has a new context with the same ticket keys.
    putPair(folder, 'default')
    await front.certificates.read()
    assert.equal((await visit(second.ticket)).isResumed, true)
    await front.ticketClock.advance(12 * 3_600_000)
    assert.equal((await visit(second.ticket)).isResumed, false)
  })

test('a certificate that is renewed is used by the next connection', async () => {
  await using app = await echo()
  const folder = folderOf('default')
  await using front = await secured(app, folder)
  const renewed = { one: selfSigned('one.example'), nameless: selfSigned('renewed.example') }
  putCertbot(folder, 'one.example', renewed.one)
  putPair(folder, 'default', renewed.nameless)
  await front.clock.advance(1_000)
  await until(() => front.certificates.find(undefined)?.cert === renewed.nameless.cert)
  assert.equal((await over(front.port, 'one.example', renewed.one.cert)).status, 200)
  const socket = await dial(front.port, '', '', { rejectUnauthorized: false })
  assert.equal(socket.getPeerCertificate().subject.CN, 'renewed.example')
  socket.destroy()
})

test('plain HTTP to the port is told so, and the connection ended', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf())
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: one.example\r\n\r\n')
  assert.match(await client.closed(), /^HTTP\/1\.1 400 [\s\S]*HTTPS/)
})

test('what is no TLS is ended, and so is a handshake that takes too long', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf(), { handshakeWithinMs: 50 })
  using garbage = new RawClient(front.port, '\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c')
  await garbage.closed()
  using silent = new RawClient(front.port)
  await silent.closed()
  using dripping = new RawClient(front.port, '\x16\x03\x01\x02')
  await dripping.closed()
  assert.equal(front.exchanges.open, 0)
  await until(() => front.exchanges.counted.open === 0)
})

test('a request for a host that the connection is not for is misdirected; for another of its certificate it is served', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf('default'))
  for (const [host, status] of [
    ['one.example', 200],
    ['One.Example:443', 200],
    ['also.example', 200],
    ['two.example', 421],
    ['one.example.evil.example', 421],
    ['a.wild.example', 421],
  ] as const) {
    assert.equal((await over(front.port, 'one.example', one.cert, host)).status, status, host)
    using client = h2Client(`https://one.example:${front.port}`, { ca: one.cert, lookup } as object)
    const answer = await client.ask({ ':authority': host })
    assert.equal(answer.status, status, host)
    if (status === 421) assert.equal(answer.headers['x-shadow-error'], 'misdirected')
  }
  const socket = await dial(front.port, 'one.example', one.cert)
  socket.write('GET / HTTP/1.1\r\nHost: two.example\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
  assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 421 /)
  socket.destroy()
  const other = await dial(front.port, 'three.example', '', { rejectUnauthorized: false })
  other.write('GET / HTTP/1.1\r\nHost: three.example\r\n\r\n')
  assert.match(String((await once(other, 'data'))[0]), /^HTTP\/1\.1 200 /)
  other.destroy()
})

test('an upgrade passes, both ways, to its end; so does a request of HTTP/1.0', async () => {
  await using app = await httpApp(
    (request, response) => response.end(`plain ${request.headers['x-forwarded-proto']}`),
    server =>
      server.on('upgrade', (request, socket) => {
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nby ${request.headers['x-forwarded-proto']};`,
        )
        socket.pipe(socket)
      }),
  )
  await using front = await secured(app, folderOf())
  const socket = await dial(front.port, 'one.example', one.cert)
  let got = ''
  socket.setEncoding('latin1').on('data', chunk => {
    got += chunk
  })
  socket.write('GET / HTTP/1.1\r\nHost: one.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
  await until(() => got.includes('by https;'))
  socket.write('x'.repeat(100_000))
  await until(() => got.endsWith('x') && got.length > 100_000)
  socket.end('bye')
  await until(() => got.endsWith('bye') && socket.closed)
  const old = await dial(front.port, 'one.example', one.cert)
  old.write('GET / HTTP/1.0\r\nHost: one.example\r\n\r\n')
  assert.match(await text(old), /plain https$/)
  await until(() => front.exchanges.counted.open === 0)
})

test('a client that leaves in the middle of the handshake is not waited for', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf(), { handshakeWithinMs: 60_000 })
  using client = new RawClient(front.port, '\x16\x03\x01\x02')
  client.socket.end()
  await until(() => front.exchanges.counted.failedHandshakes === 1)
  await until(() => front.exchanges.counted.open === 0)
})

test('who has asked and ends its side is answered all the same', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf())
  const socket = await dial(front.port, 'one.example', one.cert)
  socket.allowHalfOpen = true
  socket.end('POST / HTTP/1.1\r\nHost: one.example\r\nContent-Length: 5\r\n\r\nhello')
  assert.match(await text(socket), /^HTTP\/1.1 200 OK\r\n[\s\S]*hello/)
})

test('large bodies pass both ways by HTTP/1.1 and HTTP/2, as they were', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf())
  const sent = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => (at * 31 + (at >> 9)) & 0xff))
  using client = h2Client(`https://one.example:${front.port}`, { ca: one.cert, lookup } as object)
  const stream = client.request({ ':method': 'POST', ':authority': 'one.example' }, false)
  stream.end(sent)
  assert((await buffer(stream)).equals(sent))
  const got = await new Promise<Buffer>((resolve, reject) => {
    httpsRequest({
      port: front.port,
      host: '127.0.0.1',
      servername: 'one.example',
      ca: one.cert,
      agent: false,
      method: 'POST',
      headers: { host: 'one.example' },
    })
      .on('response', answer => resolve(buffer(answer)))
      .on('error', reject)
      .end(sent)
  })
  assert(got.equals(sent))
})

test('connections are counted, and bounded, before their handshake', async () => {
  await using app = await echo()
  await using front = await secured(app, folderOf(), { connections: { mostPerAddress: 2 } })
  const sockets = [await dial(front.port, 'one.example', one.cert), await dial(front.port, 'one.example', one.cert)]
  await assert.rejects(dial(front.port, 'one.example', one.cert))
  assert.equal(front.exchanges.counters.refusedPerAddress, 1)
  for (const socket of sockets) socket.destroy()
  await until(() => front.exchanges.counted.open === 0)
  assert.equal((await over(front.port, 'one.example', one.cert)).status, 200)
})

/** Resolves all names to this machine. */
function lookup(_name: string, options: { all?: boolean }, done: (...given: unknown[]) => void): void {
  if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }])
  else done(null, '127.0.0.1', 4)
}

test('a client that has left too many streams gets no handshake for a second', async () => {
  await using app = await httpApp(request => void request.on('error', () => undefined))
  const resets = new Buckets()
  await using front = await secured(app, folderOf(), { connections: { mostPerAddress: 1_000 }, resets })
  const connected = await dial(front.port, 'one.example', one.cert, { ALPNProtocols: ['h2'] })
  using client = new FrameClient(connected)
  await client.until(() => client.of(FRAME.settings).length > 0)
  // On other connections, the client has reset all but one of the streams that it may reset.
  const before = front.clock.now()
  for (let left = 0; left < 1_000; left++) resets.take('127.0.0.1', { perSecond: 100, burst: 1_000 }, before)
  client.ask(1, [...GET.slice(0, 2), [':scheme', 'https'], [':authority', 'one.example']])
  await until(() => front.exchanges.counters.requests === 1)
  client.send(FRAME.reset, 0, 1, Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]))
  await client.until(() => client.closed)
  const { handshakes } = front.exchanges.counters
  await assert.rejects(dial(front.port, 'one.example', one.cert))
  assert.equal(front.exchanges.counters.handshakes + front.exchanges.counters.failedHandshakes, handshakes)
  await front.clock.advance(1_000)
  const again = await dial(front.port, 'one.example', one.cert)
  assert.equal(again.authorized, true)
  again.destroy()
})
