import assert from 'node:assert/strict'
import { test } from 'vitest'
import { forwarding } from '../../../testing/forwarding.ts'
import { httpApp, RawClient, rawApp, until } from '../../../testing/wire.ts'

/** An app that records the request line and body of every request that it parsed, and all bytes of its sockets. */
async function witness() {
  const requests: string[] = []
  const app = await httpApp((request, response) => {
    let body = ''
    request.setEncoding('latin1').on('data', chunk => {
      body += chunk
    })
    request.on('end', () => {
      requests.push(`${request.method} ${request.url} [${body}]`)
      response.end(`saw ${request.url}`)
    })
  })
  return Object.assign(app, { requests })
}

const INNER = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n'

for (const method of ['DELETE', 'OPTIONS', 'GET', 'POST', 'PROPFIND']) {
  test(`a chunked ${method} stays framed, its body stays a body`, async () => {
    await using app = await witness()
    await using front = await forwarding(app)
    using client = new RawClient(
      front.port,
      `${method} /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${INNER.length.toString(16)}\r\n${INNER}\r\n0\r\n\r\n` +
        'GET /two HTTP/1.1\r\nHost: a\r\n\r\n',
    )
    await client.until('saw /two')
    assert.deepEqual(app.requests, [`${method} /one [${INNER}]`, 'GET /two []'])
  })
}

for (const method of ['DELETE', 'OPTIONS', 'GET']) {
  test(`a ${method} with a length keeps its body`, async () => {
    await using app = await witness()
    await using front = await forwarding(app)
    using client = new RawClient(
      front.port,
      `${method} /one HTTP/1.1\r\nHost: a\r\nContent-Length: ${INNER.length}\r\n\r\n${INNER}`,
    )
    await client.until('saw /one')
    assert.deepEqual(app.requests, [`${method} /one [${INNER}]`])
  })
}

for (const method of ['GET', 'DELETE', 'POST']) {
  test(`a ${method} without a body is sent without one`, async () => {
    let seen = ''
    await using app = await rawApp(socket =>
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        seen += chunk
        if (seen.includes('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }),
    )
    await using front = await forwarding(app)
    using client = new RawClient(front.port, `${method} / HTTP/1.1\r\nHost: a\r\n\r\n`)
    await client.until('ok')
    assert.doesNotMatch(seen, /transfer-encoding/i)
    assert.equal(/content-length: 0\r\n/i.test(seen), method === 'POST')
    assert(seen.endsWith('\r\n\r\n'))
  })
}

for (const [what, head] of [
  ['both Content-Length and Transfer-Encoding', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n'],
  ['Transfer-Encoding and then Content-Length', 'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n'],
  ['two lengths', 'Content-Length: 4\r\nContent-Length: 5\r\n'],
  ['two lengths in one', 'Content-Length: 4, 5\r\n'],
  ['a signed length', 'Content-Length: +4\r\n'],
  ['a length in hex', 'Content-Length: 0x4\r\n'],
  ['a coding that is not chunked', 'Transfer-Encoding: identity\r\n'],
  ['chunked hidden in a list', 'Transfer-Encoding: gzip, chunked\r\n'],
  ['chunked twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'],
  ['chunked with something behind it', 'Transfer-Encoding: chunked, x\r\n'],
  ['a vertical tab before chunked', 'Transfer-Encoding: \x0bchunked\r\n'],
  ['a space before the colon', 'Transfer-Encoding : chunked\r\n'],
  ['a folded line', 'X-A: b\r\n Transfer-Encoding: chunked\r\n'],
  ['a bare LF', 'X-A: b\nTransfer-Encoding: chunked\r\n'],
  ['a bare CR', 'X-A: b\rTransfer-Encoding: chunked\r\n'],
  ['a NUL', 'X-A: b\0\r\n'],
  ['two hosts', 'Host: b\r\n'],
] as const) {
  test(`refused, the connection closed and nothing forwarded: ${what}`, async () => {
    await using app = await witness()
    await using front = await forwarding(app)
    using client = new RawClient(front.port, `POST /one HTTP/1.1\r\nHost: a\r\n${head}\r\n0\r\n\r\n${INNER}`)
    assert.match(await client.closed(), /^HTTP\/1\.1 400 /)
    assert.deepEqual(app.requests, [])
  })
}

for (const [what, line] of [
  ['no host', 'GET / HTTP/1.1\r\n'],
  ['a target without a slash', 'GET admin HTTP/1.1\r\nHost: a\r\n'],
  ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: a\r\n'],
  ['Transfer-Encoding in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n'],
  ['a version that is none', 'GET / HTTP/1.7\r\nHost: a\r\n'],
] as const) {
  test(`refused: ${what}`, async () => {
    await using app = await witness()
    await using front = await forwarding(app)
    using client = new RawClient(front.port, `${line}\r\n${INNER}`)
    assert.match(await client.closed(), /^HTTP\/1\.1 (400|505) /)
    assert.deepEqual(app.requests, [])
  })
}

test('CONNECT is refused', async () => {
  await using app = await witness()
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n')
  assert.match(await client.closed(), /^HTTP\/1\.1 405 [\s\S]*X-Shadow-Error: bad-input/i)
})

test('a bad chunk size ends the request at the app, unfinished', async () => {
  const aborted: boolean[] = []
  await using app = await httpApp(request => {
    request
      .resume()
      .on('error', () => undefined)
      .on('close', () => aborted.push(!request.complete))
  })
  await using front = await forwarding(app)
  using client = new RawClient(
    front.port,
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
  )
  await until(() => app.sockets.size === 1)
  client.send(`-1\r\n${INNER}`)
  await until(() => aborted.length === 1)
  assert.deepEqual(aborted, [true])
})

test('an answer with two lengths is refused, and not passed on', async () => {
  await using app = await rawApp(socket =>
    socket.once('data', () =>
      socket.write(
        'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
      ),
    ),
  )
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 500/)
  assert.doesNotMatch(client.text, /evil/)
})

test("bytes after an answer are never taken for the next request's answer", async () => {
  await using app = await rawApp(socket => {
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok${chunk.includes('/one') ? evil : ''}`)
    })
  })
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET /one HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until('ok')
  client.send('GET /two HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until(/ok[\s\S]*ok/)
  assert.doesNotMatch(client.text, /evil/)
})
