import assert from 'node:assert/strict'
import { test } from 'vitest'
import { forwarding } from '../../../testing/forwarding.ts'
import { httpApp, RawClient, rawApp, recorder, until } from '../../../testing/wire.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const CHUNKED = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'

/** An app that answers with the body and the trailers of the request. */
const mirror = () =>
  httpApp((request, response) => {
    let body = ''
    request.setEncoding('latin1').on('data', chunk => {
      body += chunk
    })
    request.on('end', () => response.end(`<${body}|${request.rawTrailers.join()}>`))
  })

test('chunk extensions are no part of the body, and what is behind them arrives', async () => {
  await using app = await mirror()
  await using front = await forwarding(app)
  using client = new RawClient(front.port, `${CHUNKED}3;a=b\r\nabc\r\n2;c="d;e"\r\nde\r\n0;f\r\n\r\n${GET}`)
  assert.match(await client.until('<|>'), /<abcde\|>/)
})

test('chunk extensions of an answer are none of it for the client', async () => {
  await using app = await recorder(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2;c="d"\r\nde\r\n0;f\r\n\r\n',
  )
  await using front = await forwarding(app)
  using client = new RawClient(front.port, GET)
  assert.match(await client.until('0\r\n\r\n'), /\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n$/)
})

test('trailers that frame, route or tell of the client stay on their hop', async () => {
  await using app = await mirror()
  await using front = await forwarding(app)
  const trailers = ['Via: 1.1 x', 'X-Forwarded-For: 6.6.6.6', 'Forwarded: for=6.6.6.6', 'Connection: x', 'X-Mine: 7']
  using client = new RawClient(front.port, `${CHUNKED}3\r\nabc\r\n0\r\n${trailers.join('\r\n')}\r\n\r\n`)
  await client.until('<abc|X-Mine,7>')
})

for (const [what, method, answer] of [
  ['a HEAD of a chunked answer', 'HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n'],
  ['a HEAD of an answer to its end', 'HEAD', 'HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n'],
  ['a 204 with a length', 'GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nX-A: b\r\n\r\n'],
  ['a 204 that is chunked', 'GET', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n'],
  ['a 304 that is chunked', 'GET', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n'],
  ['an empty answer', 'GET', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: b\r\n\r\n'],
] as const)
  test(`${what} ends with its head, for the client and for the request behind it`, async () => {
    await using app = await recorder(answer)
    await using front = await forwarding(app)
    const request = `${method} / HTTP/1.1\r\nHost: a\r\n\r\n`
    using client = new RawClient(front.port, request + request)
    await client.until(/X-A: b[\s\S]*X-A: b/)
    const [first = '', second = '', rest] = client.text.split('\r\n\r\n')
    for (const head of [first, second]) assert.match(head, new RegExp(`^${answer.slice(0, 12)}`))
    assert.equal(rest, '')
    if (answer.includes(' 204 ')) assert.doesNotMatch(client.text, /content-length|transfer-encoding/i)
  })

test('an answer that comes before the upload is whole is heard, and what is left of that is no request', async () => {
  let seen = ''
  await using app = await rawApp(socket =>
    socket
      .setEncoding('latin1')
      .on('data', chunk => {
        seen += chunk
        if (seen.endsWith('abc')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly')
      })
      .on('end', () => socket.end()),
  )
  await using front = await forwarding(app)
  const rest = 'GET /evil HTTP/1.1\r\nHost: a\r\n\r\n'
  using client = new RawClient(
    front.port,
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${3 + rest.length}\r\n\r\nabc`,
  )
  await client.until('early')
  await until(() => app.sockets.size === 0)
  client.send(rest)
  client.socket.end()
  await client.closed()
  assert.doesNotMatch(seen, /evil/)
  assert.equal(client.text.match(/HTTP\/1\.1/g)?.length, 1)
})
