import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'vitest'
import { forwarding } from '../../../testing/forwarding.ts'
import { httpApp, RawClient, rawApp, recorder, until } from '../../../testing/wire.ts'
import { Refusal, UpstreamError } from '../next-hop.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

test('headers keep their case, their order and their repeats, both ways', async () => {
  await using app = await recorder(
    'HTTP/1.1 200 Fine By Me\r\nSet-Cookie: a=1\r\nX-Odd-CASE: 1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok',
  )
  await using front = await forwarding(app)
  using client = new RawClient(
    front.port,
    'GET /p?q=%20 HTTP/1.1\r\nHost: Blog.localhost:8090\r\nX-Two: 1\r\nAccept: a\r\nx-TWO: 2\r\n\r\n',
  )
  const answer = await client.until('ok')
  assert.match(
    answer,
    /^HTTP\/1\.1 200 Fine By Me\r\nSet-Cookie: a=1\r\nX-Odd-CASE: 1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n/,
  )
  assert.match(
    app.seen.text,
    /^GET \/p\?q=%20 HTTP\/1\.1\r\nHost: Blog\.localhost:8090\r\nX-Two: 1\r\nAccept: a\r\nx-TWO: 2\r\n/,
  )
})

test('headers of the hop, and those that Connection names, stay on their hop, both ways', async () => {
  await using app = await recorder(
    'HTTP/1.1 200 OK\r\nConnection: x-mine, close\r\nX-Mine: 1\r\nKeep-Alive: timeout=9\r\nProxy-Authenticate: x\r\nX-Shadow-State: awake\r\nContent-Length: 2\r\n\r\nok',
  )
  await using front = await forwarding(app, { strip: 'x-shadow-' })
  using client = new RawClient(
    front.port,
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Secret, Content-Length, close\r\nX-Secret: 1\r\nTE: trailers, gzip\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nX-Shadow-Key: 1\r\n\r\n',
  )
  const answer = await client.closed()
  assert.doesNotMatch(answer, /x-mine|timeout=9|proxy-auth|x-shadow/i)
  assert.doesNotMatch(app.seen.text, /x-secret|proxy-|gzip|x-shadow/i)
  assert.match(app.seen.text, /TE: trailers\r\n/)
  assert.doesNotMatch(app.seen.text, /Connection: close/i, "the client's close is not the pooled connection's")
})

test('between hops of ours it stays as it came, and headers of the hop are set over what came', async () => {
  await using app = await recorder()
  await using front = await forwarding(app, {
    forwarded: 'keep',
    requestHeaders: { 'x-key': 'ours' },
    responseHeaders: { 'Server-Timing': 'wake;dur=5' },
  })
  using client = new RawClient(
    front.port,
    'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Key: theirs\r\n\r\n',
  )
  assert.match(await client.until('ok'), /Server-Timing: wake;dur=5\r\n/)
  assert.match(app.seen.text, /X-Forwarded-For: 1\.1\.1\.1\r\n/)
  assert.match(app.seen.text, /x-key: ours\r\n/)
  assert.doesNotMatch(app.seen.text, /theirs/)
})

for (const [what, answer, method, expected] of [
  ['HEAD with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n', 'HEAD', /Content-Length: 500/],
  ['HEAD of a chunked one', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'HEAD', /200 OK/],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n', 'GET', /^HTTP\/1\.1 204 No Content\r\n/],
  [
    '304 with a length',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: "x"\r\n\r\n',
    'GET',
    /Content-Length: 9\r\nETag/,
  ],
] as const) {
  test(`an answer without a body ends with its head, and the connection serves the next: ${what}`, async () => {
    await using app = await recorder(answer)
    await using front = await forwarding(app)
    using client = new RawClient(front.port, `${method} / HTTP/1.1\r\nHost: a\r\n\r\n`)
    assert.match(await client.until('\r\n\r\n'), expected)
    client.text = ''
    client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`)
    assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 /)
  })
}

test('an answer that ends with its connection arrives whole', async () => {
  await using app = await rawApp(socket => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\nto the end')))
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(await client.until('0\r\n\r\n'), /Transfer-Encoding: chunked\r\n\r\na\r\nto the end\r\n0\r\n\r\n$/)
  using old = new RawClient(front.port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  assert.match(await old.closed(), /\r\n\r\nto the end$/)
})

test('trailers pass both ways', async () => {
  await using app = await httpApp((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { Trailer: 'X-Sum' })
      response.write('body')
      response.addTrailers([['X-Sum', `saw ${request.rawTrailers.join('=')}`]])
      response.end()
    })
  })
  await using front = await forwarding(app, { strip: 'x-shadow-' })
  using client = new RawClient(
    front.port,
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Mine\r\n\r\n3\r\nabc\r\n0\r\nX-Mine: 7\r\nX-Shadow-Key: 8\r\n\r\n',
  )
  assert.match(await client.until('\r\n0\r\n'), /Trailer: X-Sum\r\n/)
  assert.match(await client.until('X-Sum: saw'), /0\r\nX-Sum: saw X-Mine=7\r\n\r\n$/)
})

test('early hints pass before the answer', async () => {
  await using app = await rawApp(socket =>
    socket.once('data', () => {
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Shadow-State: x\r\n\r\n')
      socket.once('data', () => undefined)
      setImmediate(() => socket.write(OK))
    }),
  )
  await using front = await forwarding(app, { strip: 'x-shadow-' })
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(
    await client.until('ok'),
    /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK/,
  )
})

test('pipelined requests are answered in their order', async () => {
  const waiting: (() => void)[] = []
  await using app = await httpApp((request, response) => {
    const answer = () => response.end(`<${request.url}>`)
    if (request.url === '/1') waiting.push(answer)
    else answer()
  })
  await using front = await forwarding(app)
  using client = new RawClient(front.port, [1, 2, 3].map(n => `GET /${n} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''))
  await until(() => waiting.length === 1)
  waiting[0]?.()
  assert.match(await client.until('</3>'), /<\/1>[\s\S]*<\/2>[\s\S]*<\/3>/)
})

test('a refusal by the next hop is thrown and nothing of it passed on', async () => {
  await using app = await recorder(
    'HTTP/1.1 421 Elsewhere\r\nX-Error: volume-elsewhere\r\nContent-Length: 4\r\n\r\nbody',
  )
  await using front = await forwarding(app, { refusal: headers => headers['x-error'] !== undefined })
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until('\r\n\r\n')
  const [thrown] = front.outcomes
  assert(thrown instanceof Refusal)
  assert.deepEqual(
    [thrown.status, thrown.body, thrown.sent, thrown.headers['x-error']],
    [421, 'body', false, 'volume-elsewhere'],
  )
})

test('an upstream that takes no connection was not sent anything', async () => {
  const gone = await rawApp(() => undefined)
  await gone[Symbol.asyncDispose]()
  await using front = await forwarding(gone)
  using client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  await client.until('500')
  const [thrown] = front.outcomes
  assert(thrown instanceof UpstreamError)
  assert.deepEqual([thrown.stage, thrown.sent], ['connect', false])
})

test('the body waits for an upstream that is asked first, and stays whole when it refuses', async () => {
  await using app = await recorder('HTTP/1.1 421 Elsewhere\r\nX-Error: x\r\nContent-Length: 0\r\n\r\n')
  const bodies: IncomingMessage[] = []
  await using front = await forwarding(app, { expect: 'ask', refusal: headers => 'x-error' in headers })
  using client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  await client.until('\r\n\r\n')
  assert(front.outcomes[0] instanceof Refusal)
  assert.equal((front.outcomes[0] as Refusal).sent, false)
  assert.match(app.seen.text, /Expect: 100-continue\r\n([\s\S]*\r\n)?\r\n$/)
  assert.equal(bodies.length, 0)
})

test('asked first, then answered by the hop after it: the body arrives once the way is open', async () => {
  await using app = await httpApp((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', chunk => {
      body += chunk
    })
    request.on('end', () => response.end(`${request.headers.expect} ${body}`))
  })
  await using node = await forwarding(app, { expect: 'answer', forwarded: 'keep' })
  await using front = await forwarding(node, { expect: 'ask' })
  using client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  const answer = await client.until('undefined abc')
  assert.doesNotMatch(answer, /100 Continue/, 'the client did not ask')
})

test('the app says when a client that expects 100 may go on, and the client hears it', async () => {
  let bodyRead = false
  const asked: (() => void)[] = []
  await using app = await httpApp(
    () => undefined,
    server =>
      server.on('checkContinue', (request, response) => {
        request.on('data', () => {
          bodyRead = true
        })
        request.on('end', () => response.end('read'))
        asked.push(() => response.writeContinue())
      }),
  )
  await using node = await forwarding(app, { forwarded: 'keep' })
  await using front = await forwarding(node)
  using client = new RawClient(
    front.port,
    'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n',
  )
  await until(() => asked.length === 1)
  assert.equal(client.text, '', 'nobody went on before the app')
  assert.equal(bodyRead, false)
  asked[0]?.()
  await client.until('HTTP/1.1 100 Continue\r\n\r\n')
  client.send('abc')
  await client.until('read')
})
