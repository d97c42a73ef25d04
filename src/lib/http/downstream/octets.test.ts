import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'vitest'
import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { streaming } from '../../../testing/h2-forwarding.ts'
import { RawClient, rawApp, recorder } from '../../../testing/wire.ts'

// Values as old apps send them: Latin-1, UTF-8, and every other byte that a value may have (RFC 9110, 5.5).
const ODD: Readonly<Record<string, string>> = {
  'Content-Disposition': 'attachment; filename="r\xe9sum\xe9.pdf"',
  'X-Utf8': 'caf\xc3\xa9 \xe2\x82\xac',
  'X-Obs-Text': String.fromCharCode(...Array.from({ length: 128 }, (_, at) => 0x80 + at)),
  'X-Tab': 'a\tb',
  Location: '/\xfcber',
}
const LINES = Object.entries(ODD)
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join('')
const BODY = '\x00\xff\xc3\x28\r\nbody'

const ASKED = {
  'of HTTP/1.1': 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  'of HTTP/1.0': 'GET / HTTP/1.0\r\nHost: a\r\n\r\n',
  'of HTTP/1.0 that keeps alive': 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n',
  'of a WebSocket that is refused':
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n',
}
type Part = readonly [head: string, body: string]
const FRAMED: Readonly<Record<string, Part>> = {
  'a length': [`Content-Length: ${BODY.length}\r\n\r\n`, BODY],
  chunks: ['Transfer-Encoding: chunked\r\n\r\n', `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`],
}

for (const [whose, asked] of Object.entries(ASKED))
  for (const [how, [head, body]] of Object.entries(FRAMED))
    test(`the bytes of an answer with ${how} reach a client ${whose} as they are`, async () => {
      await using app = await recorder(`HTTP/1.1 200 Tr\xe8s bien\r\n${LINES}${head}${body}`)
      await using front = await fastForwarding()(app)
      using client = new RawClient(front.port, asked)
      const answer = await client.until('body')
      for (const [name, value] of Object.entries(ODD)) assert(answer.includes(`\r\n${name}: ${value}\r\n`), answer)
      assert(answer.startsWith('HTTP/1.1 200 Tr\xe8s bien\r\n'), answer)
      assert(answer.includes(BODY), answer)
    })

for (const [whose, asked] of Object.entries(ASKED))
  test(`and those of a head that comes before its body, to a client ${whose}`, async () => {
    const sockets: Socket[] = []
    await using app = await rawApp(socket => {
      sockets.push(socket)
      socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${LINES}Content-Length: 4\r\n\r\n`, 'latin1'))
    })
    await using front = await fastForwarding()(app)
    using client = new RawClient(front.port, asked)
    const head = await client.until('\r\n\r\n')
    for (const [name, value] of Object.entries(ODD)) assert(head.includes(`\r\n${name}: ${value}\r\n`), head)
    sockets[0]?.write('body')
    assert.match(await client.until('body'), /\r\n\r\nbody$/)
  })

test('and one of HTTP/2', async () => {
  await using app = await recorder(
    `HTTP/1.1 103 Early Hints\r\nX-Hint: \xe9\r\n\r\nHTTP/1.1 200 OK\r\n${LINES}Transfer-Encoding: chunked\r\n\r\n${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\nX-Sum: \xe9\r\n\r\n`,
  )
  await using front = await streaming(app)
  using client = front.client()
  const { raw, hints, trailers } = await client.ask({ ':path': '/' })
  for (const [name, value] of Object.entries(ODD)) assert.equal(raw[raw.indexOf(name.toLowerCase()) + 1], value)
  assert.equal(hints[0]?.['x-hint'], '\xe9')
  assert.equal(trailers['x-sum'], '\xe9')
})

test('and a switch of protocols', async () => {
  await using app = await recorder(
    `HTTP/1.1 101 Tr\xe8s bien\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${LINES}\r\n`,
  )
  await using front = await fastForwarding()(app)
  using client = new RawClient(front.port, ASKED['of a WebSocket that is refused'])
  const answer = await client.until('\r\n\r\n')
  for (const [name, value] of Object.entries(ODD)) assert(answer.includes(`\r\n${name}: ${value}\r\n`), answer)
})

test('a reason with a control byte is refused on every path, and whoever asks next is answered', async () => {
  await using app = await recorder('HTTP/1.1 200 O\x01K\r\nContent-Length: 3\r\n\r\nend')
  for (const asked of Object.values(ASKED)) {
    await using front = await fastForwarding()(app)
    using client = new RawClient(front.port, asked)
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 500 Internal Server Error\r\n/)
  }
})
