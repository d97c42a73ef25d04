import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { forwarding } from '../../../testing/forwarding.ts'
import { httpApp, RawClient, rawApp, until } from '../../../testing/wire.ts'

const UPGRADE =
  'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n'
const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n'

/** An app that accepts every upgrade; `ends` are its sockets. */
async function switching(first = '') {
  const ends: Socket[] = []
  const said: string[] = []
  const app = await rawApp(socket => {
    socket.setEncoding('latin1')
    socket.once('data', (head: string) => {
      said.push(head)
      ends.push(socket)
      socket.on('data', chunk => said.push(String(chunk)))
      socket.write(SWITCH + first, 'latin1')
    })
  })
  return Object.assign(app, { ends, said })
}

test('a WebSocket talks both ways through two hops, and its close code arrives', async () => {
  const closes: number[] = []
  await using app = await httpApp(
    () => undefined,
    server => {
      const sockets = new WebSocketServer({ server })
      sockets.on('connection', socket => {
        socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }))
        socket.on('close', code => closes.push(code))
      })
    },
  )
  await using node = await forwarding(app, { forwarded: 'keep' })
  await using front = await forwarding(node)
  const client = new WebSocket(`ws://127.0.0.1:${front.port}/chat`)
  await once(client, 'open')
  const large = Buffer.alloc(3_000_000, 5)
  for (const message of ['hello', large]) {
    client.send(message)
    const [echo] = (await once(client, 'message')) as [Buffer]
    assert(Buffer.from(message as Buffer).equals(echo))
  }
  client.close(4321, 'bye')
  const [code] = (await once(client, 'close')) as [number]
  assert.equal(code, 4321)
  await until(() => closes.length === 1 && front.outcomes.length === 1 && node.outcomes.length === 1)
  assert.deepEqual([closes, front.outcomes, node.outcomes], [[4321], ['done'], ['done']])
})

test('the head of the switch passes, and the first bytes on both sides right behind it', async () => {
  await using app = await switching('early')
  await using front = await forwarding(app, {
    strip: 'x-shadow-',
    responseHeaders: { 'Server-Timing': 'wake' },
  })
  using client = new RawClient(front.port, `${UPGRADE}mine`)
  const answer = await client.until('early')
  assert.match(
    answer,
    /^HTTP\/1\.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nServer-Timing: wake\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly$/,
  )
  await until(() => app.said.join('').endsWith('mine'))
  assert.match(app.said[0] ?? '', /Connection: Upgrade\r\nUpgrade: websocket\r\n/)
})

test('what is sent ahead of the switch arrives behind it, however much it is', async () => {
  const ends: Socket[] = []
  let received = 0
  await using app = await rawApp(socket => {
    ends.push(socket.on('data', (chunk: Buffer) => (received += chunk.length)))
  })
  await using front = await forwarding(app)
  const early = 'x'.repeat(1_000_000)
  using client = new RawClient(front.port, UPGRADE + early)
  await until(() => received > 0)
  const head = received
  ends[0]?.write(SWITCH)
  await client.until('101')
  await until(() => received >= head + early.length)
  assert(received < head + early.length + 1_000, 'nothing came twice')
})

test('white space before a colon is left out of the head of a switch, through two hops', async () => {
  await using app = await rawApp(socket =>
    socket.once('data', () => socket.write(SWITCH.replace('Sec-WebSocket-Accept:', 'Sec-WebSocket-Accept :'))),
  )
  await using node = await forwarding(app, { forwarded: 'keep' })
  await using front = await forwarding(node)
  using client = new RawClient(front.port, UPGRADE)
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 101 [^\r]*\r\nSec-WebSocket-Accept: x\r\n/)
})

test('a header of ours that would split the head of a switch is an error and not sent', async () => {
  await using app = await switching()
  await using front = await forwarding(app, { responseHeaders: { 'x-a': 'b\r\nx-evil: 1' } })
  using client = new RawClient(front.port, UPGRADE)
  assert.match(await client.closed(), /^HTTP\/1\.1 500 /)
  assert.doesNotMatch(client.text, /evil/)
})

test('nothing behind a refused upgrade is served', async () => {
  await using app = await rawApp(socket =>
    socket.on('data', () => socket.write('HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno')),
  )
  await using front = await forwarding(app)
  using client = new RawClient(front.port, `${UPGRADE}GET /evil HTTP/1.1\r\nHost: a\r\n\r\n`)
  assert.match(await client.closed(), /^HTTP\/1\.1 401 No\r\n[\s\S]*connection: close\r\n[\s\S]*no$/i)
  assert.deepEqual(front.outcomes, ['done'])
})

test('a refused upgrade is answered with status, headers and body', async () => {
  await using app = await rawApp(socket =>
    socket.once('data', () =>
      socket.write('HTTP/1.1 401 Who Are You\r\nWWW-Authenticate: Basic\r\nContent-Length: 5\r\n\r\nno no'),
    ),
  )
  await using front = await forwarding(app)
  using client = new RawClient(front.port, UPGRADE)
  assert.match(await client.closed(), /^HTTP\/1\.1 401 Who Are You\r\nWWW-Authenticate: Basic\r\n[\s\S]*\r\n\r\nno no$/)
  assert.deepEqual(front.outcomes, ['done'])
})

test('an upgrade that cannot be forwarded is answered with the error', async () => {
  const gone = await rawApp(() => undefined)
  await gone[Symbol.asyncDispose]()
  await using front = await forwarding(gone)
  using client = new RawClient(front.port, UPGRADE)
  assert.match(await client.closed(), /^HTTP\/1\.1 500 [\s\S]*problem\+json/)
})

test('a protocol that is no WebSocket is switched to as well, one half closing before the other', async () => {
  await using app = await rawApp(socket => {
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      if (text === '') socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: line\r\n\r\n')
      text += chunk
    })
    socket.on('end', () => socket.end(`after your end: ${text.split('\r\n\r\n')[1]}`))
  })
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: line\r\n\r\n')
  await client.until('101')
  client.socket.end('hello')
  assert.match(await client.closed(), /after your end: hello$/)
})

for (const [what, head, body] of [
  [
    'h2c',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n',
    '',
  ],
  [
    'one with a body',
    'POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\n',
    'abc',
  ],
] as const) {
  test(`an offer to switch that is not taken is a plain request: ${what}`, async () => {
    const heads: string[] = []
    await using app = await httpApp((request, response) => {
      heads.push(request.rawHeaders.join(' '))
      request.pipe(response)
    })
    await using front = await forwarding(app)
    using client = new RawClient(front.port, head + body)
    assert.match(await client.until(body || '\r\n\r\n'), /^HTTP\/1\.1 200 OK/)
    assert.doesNotMatch(heads.join(), /upgrade|http2/i)
  })
}

test('either side that is cut cuts the other', async () => {
  await using app = await switching()
  await using front = await forwarding(app)
  using first = new RawClient(front.port, UPGRADE)
  await first.until('101')
  app.ends[0]?.resetAndDestroy()
  await first.closed()
  using second = new RawClient(front.port, UPGRADE)
  await second.until('101')
  second.socket.resetAndDestroy()
  await until(() => app.ends[1]?.readableEnded === true && front.outcomes.length === 2)
})

test('a client that leaves before the switch is let go, and so is the app', async () => {
  const ends: Socket[] = []
  await using app = await rawApp(socket => void ends.push(socket.resume()))
  await using front = await forwarding(app)
  using client = new RawClient(front.port, UPGRADE)
  await until(() => ends.length === 1 && (ends[0]?.bytesRead ?? 0) > 0)
  client.socket.end()
  await until(() => front.outcomes.length === 1 && (ends[0]?.readableEnded === true || ends[0]?.closed === true))
  assert.match(String(front.outcomes[0]), /the client left/)
})

test('long messages pass whole, both ways, between short ones', async () => {
  await using app = await httpApp(
    () => undefined,
    server =>
      void new WebSocketServer({ server, maxPayload: 2 ** 26 }).on('connection', socket =>
        socket.on('message', (message: Buffer) => {
          socket.send('short')
          socket.send(message)
        }),
      ),
  )
  await using front = await forwarding(app)
  const clients = Array.from({ length: 3 }, () => new WebSocket(`ws://127.0.0.1:${front.port}/`))
  await Promise.all(clients.map(client => once(client, 'open')))
  const lengths = [10, 40_000, 5_000_000, 3, 32_768, 700_000, 65_536, 1]
  const talk = async (client: WebSocket, seed: number): Promise<void> => {
    const echoes: Buffer[] = []
    client.on('message', (echo: Buffer) => echoes.push(echo))
    const sent = lengths.map((length, at) => Buffer.alloc(length, `${seed}.${at}.${'abcdefg'.repeat(seed)}`))
    for (const message of sent) client.send(message)
    await until(() => echoes.length === 2 * sent.length)
    assert(sent.every((message, at) => message.equals(echoes[2 * at + 1] ?? Buffer.alloc(0))))
  }
  await Promise.all(clients.map(talk))
  for (const client of clients) client.terminate()
})

test('a client that does not read keeps the app from writing on', async () => {
  await using app = await switching()
  await using front = await forwarding(app, {}, { pingEveryMs: 1e9 })
  using client = new RawClient(front.port, UPGRADE)
  await client.until('101')
  client.socket.pause()
  const frame = Buffer.concat([Buffer.from([0x82, 126, 0xff, 0xff]), Buffer.alloc(65_535)])
  let written = 0
  for (let quiet = 0; quiet < 200 && written < 64e6; quiet++) {
    while (app.ends[0]?.write(frame) && written < 64e6) {
      written += frame.length
      quiet = 0
    }
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  assert(written < 64e6, `${written} bytes went to a client that reads none`)
})

const PING = '\x89\x00'

test('a silent WebSocket client is pinged; one that answers stays, one that does not is cut', async () => {
  await using app = await switching()
  await using front = await forwarding(app, {}, { pingEveryMs: 1_000 })
  using client = new RawClient(front.port, UPGRADE)
  await client.until('\r\n\r\n')
  await until(() => front.clock.waiting > 0)
  for (let round = 1; round <= 3; round++) {
    await front.clock.advance(1_000)
    await until(() => client.text.endsWith(PING.repeat(round)))
    client.send('\x8a\x80abcd')
    await until(() => app.said.slice(1).join('').length === 6 * round)
  }
  await front.clock.advance(999)
  assert(client.text.endsWith(`\r\n\r\n${PING.repeat(3)}`), 'not before it is silent for so long')
  await front.clock.advance(1)
  await until(() => client.text.endsWith(PING.repeat(4)))
  await front.clock.advance(999)
  assert.equal(client.ended, false)
  await front.clock.advance(1)
  await client.closed()
  await until(() => app.ends[0]?.readableEnded === true)
})

test('a ping waits for the end of the frame that the app is sending', async () => {
  await using app = await switching()
  await using front = await forwarding(app, {}, { pingEveryMs: 1_000 })
  using client = new RawClient(front.port, UPGRADE)
  await client.until('\r\n\r\n')
  client.text = ''
  app.ends[0]?.write('\x81\x06abc', 'latin1')
  await client.until('\x81\x06abc')
  await front.clock.advance(5_000)
  app.ends[0]?.write('def\x81\x02gh\x81\x01', 'latin1')
  await client.until('def')
  await until(() => client.text.length >= 16)
  assert.equal(client.text, `\x81\x06abcdef\x81\x02gh${PING}\x81\x01`)
})

test('a real WebSocket client answers our pings and its messages stay whole', async () => {
  await using app = await httpApp(
    () => undefined,
    server => new WebSocketServer({ server }).on('connection', socket => socket.on('message', m => socket.send(m))),
  )
  await using front = await forwarding(app, {}, { pingEveryMs: 1_000 })
  const client = new WebSocket(`ws://127.0.0.1:${front.port}/`)
  await once(client, 'open')
  for (let round = 0; round < 5; round++) {
    const pinged = once(client, 'ping')
    await front.clock.advance(1_000)
    await pinged
    const text = createHash('sha256').update(String(round)).digest('hex').repeat(100)
    client.send(text)
    const [echo] = await once(client, 'message')
    assert.equal(String(echo), text)
  }
  client.terminate()
})

test('a connection of which one half has ended ends when the other stays silent', async () => {
  await using app = await switching()
  await using front = await forwarding(app, {}, { pingEveryMs: 1e9, limits: { stalledAfterMs: 1_000 } })
  using client = new RawClient(front.port, UPGRADE)
  await client.until('101')
  client.socket.end()
  await until(() => app.ends[0]?.readableEnded === true)
  for (let round = 0; round < 4; round++) await front.clock.advance(1_000)
  await until(() => front.sockets.size === 0 && front.outcomes.length === 1)
})

test('a WebSocket whose client has ended its side ends on both sides a moment later, though the app goes on', async () => {
  await using app = await switching()
  await using front = await forwarding(app)
  using client = new RawClient(front.port, UPGRADE)
  await client.until('101 Switching')
  client.socket.end()
  await until(() => app.ends[0]?.readableEnded === true)
  await front.clock.advance(1_000)
  await until(() => front.sockets.size === 0 && front.outcomes.length === 1)
  await client.closed()
})

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`

for (const [what, offer] of [
  ['h2c', get('/offer', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n')],
  ['one with a body', `${get('/offer', 'Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n')}abc`],
] as const) {
  // The head of the next request follows in the same write. Its body, read alone, would be a request.
  const next = `${offer}POST /next HTTP/1.1\r\nHost: a\r\nContent-Length: ${get('/smuggled').length}\r\n\r\n`
  const hearing = async () => {
    const seen: string[] = []
    const app = await httpApp(async (request, response) => {
      seen.push(`${request.url} ${request.headers.upgrade ?? ''}${request.headers['http2-settings'] ?? ''}`)
      response.end(await text(request))
    })
    return { app, seen }
  }

  test(`an offer to switch that is ignored is a plain request, and the connection goes on: ${what}`, async () => {
    const { app, seen } = await hearing()
    await using _app = app
    await using front = await forwarding(app)
    using client = new RawClient(front.port)
    client.send(next)
    await until(() => seen.length === 2)
    client.send(get('/smuggled'))
    await client.until(get('/smuggled'))
    assert.deepEqual(seen, ['/offer ', '/next '])
  })
}
