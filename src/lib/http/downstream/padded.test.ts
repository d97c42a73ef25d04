import assert from 'node:assert/strict'
import { test } from 'vitest'
import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { streaming } from '../../../testing/h2-forwarding.ts'
import { RawClient, recorder } from '../../../testing/wire.ts'
import { UpstreamError } from '../next-hop.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const CHUNKS = '2\r\nok\r\n0\r\n\r\n'

// White space around a value does not belong to it (RFC 9110, 5.5). In answers, white space before a colon is removed (RFC 9112, 5.1).
for (const [head, body, passed] of [
  ['Content-Length:  2', 'ok', 'Content-Length: 2'],
  ['Content-Length: 2 \t', 'ok', 'Content-Length: 2'],
  ['Content-Length:2', 'ok', 'Content-Length:2'],
  ['Content-Length:\t2', 'ok', 'Content-Length: 2'],
  ['Transfer-Encoding:  chunked', CHUNKS, 'Transfer-Encoding: chunked'],
  ['Transfer-Encoding: chunked \t ', CHUNKS, 'Transfer-Encoding: chunked'],
  ['Transfer-Encoding:\tchunked', CHUNKS, 'Transfer-Encoding: chunked'],
  ['Content-Length : 2', 'ok', 'Content-Length: 2'],
  ['Content-Length \t :\t2', 'ok', 'Content-Length: 2'],
  ['Transfer-Encoding : chunked', CHUNKS, 'Transfer-Encoding: chunked'],
  ['X-Old : a\r\nX-New: b\r\nContent-Length: 2', 'ok', 'X-Old: a\r\nX-New: b\r\nContent-Length: 2'],
  ['X-A\t: a : b\r\nX-B :c\r\nContent-Length: 2', 'ok', 'X-A: a : b\r\nX-B:c\r\nContent-Length: 2'],
] as const) {
  const answer = `HTTP/1.1 200 OK\r\n${head}\r\n\r\n${body}`
  test(`of an app ${JSON.stringify(head)} is taken, and passed on as ${JSON.stringify(passed)}`, async () => {
    await using app = await recorder(answer)
    await using front = await fastForwarding()(app)
    using client = new RawClient(front.port, GET)
    const first = await client.until(body)
    assert(first.includes(`\r\n${passed}\r\n`), first)
    assert.doesNotMatch(first, /^[\w-]+[ \t]+:|[ \t]\r\n|: {2}|:\t/m)
    client.text = ''
    client.send(GET)
    assert.match(await client.until(body), /^HTTP\/1\.1 200 OK\r\n/, 'the connection serves on')
    assert.equal(app.sockets.size, 1)
  })

  test(`and by HTTP/2: ${JSON.stringify(head)}`, async () => {
    await using app = await recorder(answer)
    await using front = await streaming(app)
    using client = front.client()
    assert.equal((await client.ask({ ':path': '/' })).body, 'ok')
  })
}

test('white space before the colon of a trailer is removed, too', async () => {
  await using app = await recorder(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum : 1\r\nX-More: 2\r\n\r\n',
  )
  await using front = await fastForwarding()(app)
  using client = new RawClient(front.port, GET)
  assert.match(await client.until('X-More'), /\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n$/)
})

for (const [line, named] of [
  ['X Odd: a', '"X Odd"'],
  ['X-Odd: \0', '"X-Odd"'],
  ['no colon at all', '"no colon at all"'],
  ['X-Fold: a\r\n b', '"X-Fold"'],
  ['Content-Length: 2, 2', 'Content-Length'],
  ['Content-Length: x', 'Content-Length'],
  ['Transfer-Encoding: gzip, chunked', 'Transfer-Encoding'],
] as const)
  test(`what is refused of an app names the header: ${JSON.stringify(line)}`, async () => {
    await using app = await recorder(`HTTP/1.1 200 OK\r\n${line}\r\nContent-Length: 2\r\n\r\nok`)
    await using front = await fastForwarding()(app)
    using client = new RawClient(front.port, GET)
    await client.until('\r\n\r\n')
    const [refused] = front.outcomes
    assert(refused instanceof UpstreamError && refused.isRefused, String(refused))
    assert(refused.message.includes(named), refused.message)
  })

test('what an app may not say of a request is no fault of its answer', async () => {
  await using app = await recorder(
    'HTTP/1.1 200 OK\r\nExpect: wonders\r\nHost: a\r\nHost: b\r\nContent-Length: 2\r\n\r\nok',
  )
  await using front = await fastForwarding()(app)
  using client = new RawClient(front.port, GET)
  assert.match(await client.until('ok'), /^HTTP\/1\.1 200 OK\r\nExpect: wonders\r\n/)
})
