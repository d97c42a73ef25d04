import assert from 'node:assert/strict'
import { constants } from 'node:http2'
import { test } from 'vitest'
import { answerTo, streaming } from '../../../../testing/h2-forwarding.ts'
import { FRAME, FrameClient, GET } from '../../../../testing/h2-wire.ts'
import { httpApp, rawApp, until } from '../../../../testing/wire.ts'
import { Refusal, UpstreamError } from '../../next-hop.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** An app that records the bytes of all heads and bodies, and gives each head this answer. */
const recorder = async (answer = OK) => {
  const seen = { text: '' }
  const app = await rawApp(socket => {
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      seen.text += chunk
      if (chunk.includes('\r\n\r\n')) socket.write(answer, 'latin1')
    })
  })
  return Object.assign(app, { seen })
}

test('headers keep their order and their repeats, both ways', async () => {
  await using app = await recorder(
    'HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nX-Odd-CASE: 1\r\nSet-Cookie: b=2\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 2\r\n\r\nok',
  )
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  client.ask(1, [...GET, ['x-two', '1'], ['accept', 'a'], ['x-two', '2'], ['x-bytes', '\xe9\xff']])
  await client.until(() => client.endOf(1))
  assert.match(
    app.seen.text,
    /^GET \/ HTTP\/1\.1\r\nhost: a\r\nx-two: 1\r\naccept: a\r\nx-two: 2\r\nx-bytes: \xe9\xff\r\n/,
  )
  using other = front.client()
  const { raw, status } = await other.ask({})
  assert.equal(status, 200)
  assert.deepEqual(dateless(raw).slice(2), [
    ...['set-cookie', 'a=1', 'x-odd-case', '1', 'set-cookie', 'b=2'],
    ...['content-type', 'a/b', 'content-type', 'c/d', 'content-length', '2'],
  ])
})

test('crumbs of a cookie become one', async () => {
  await using app = await recorder()
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  client.ask(1, [...GET, ['cookie', 'a=1'], ['x', 'y'], ['cookie', 'b=2'], ['cookie', 'c=3']])
  await client.until(() => client.endOf(1))
  assert.equal(app.seen.text.match(/^cookie: .*$/gm)?.join(), 'cookie: a=1; b=2; c=3')
})

test('headers of the hop, and those that Connection names, stay on their hop', async () => {
  await using app = await recorder(
    'HTTP/1.1 200 OK\r\nConnection: x-mine, close\r\nX-Mine: 1\r\nKeep-Alive: timeout=9\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nX-Shadow-State: awake\r\nContent-Length: 2\r\n\r\nok',
  )
  await using front = await streaming(app, { strip: 'x-shadow-' })
  using client = front.client()
  const { raw } = await client.ask({ te: 'trailers', 'proxy-authorization': 'x', 'x-shadow-key': '1' })
  assert.deepEqual(dateless(raw), [':status', '200', 'content-length', '2'])
  assert.doesNotMatch(app.seen.text, /proxy-|x-shadow|connection/i)
  assert.match(app.seen.text, /TE: trailers\r\n/)
})

test('chunks of an upstream are taken apart, and framing never reaches the client', async () => {
  await using app = await recorder(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 6\r\nX-Shadow-Key: 8\r\n\r\n',
  )
  await using front = await streaming(app, { strip: 'x-shadow-' })
  using client = front.client()
  for (let round = 0; round < 2; round++) {
    const { raw, body, trailers } = await client.ask({})
    assert.deepEqual(
      [dateless(raw), body, trailers['x-sum'], trailers['x-shadow-key']],
      [[':status', '200'], 'onetwo', '6', undefined],
    )
  }
  assert.equal(app.sockets.size, 1)
})

test('trailers of a request pass', async () => {
  await using app = await httpApp((request, response) => {
    request.resume().on('end', () => response.end(request.rawTrailers.join('=')))
  })
  await using front = await streaming(app, { strip: 'x-shadow-' })
  using client = front.client()
  const stream = client.session.request({ ':method': 'POST', ':authority': 'a' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-mine': '7', 'x-shadow-key': '8' }))
  stream.end('abc')
  assert.equal((await answerTo(stream)).body, 'x-mine=7')
})

for (const [forwarded, expected] of [
  ['replace', /X-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n/],
  ['append', /X-Forwarded-For: 6\.6\.6\.6, 127\.0\.0\.1\r\n/],
  ['keep', /x-forwarded-for: 6\.6\.6\.6\r\n/],
] as const) {
  test(`where it came from: ${forwarded}`, async () => {
    await using app = await recorder()
    await using front = await streaming(app, { forwarded, requestHeaders: { 'x-key': 'ours' } })
    using client = front.client()
    await client.ask({ 'x-forwarded-for': '6.6.6.6', 'x-key': 'theirs' })
    assert.match(app.seen.text, expected)
    assert.match(app.seen.text, /x-key: ours\r\n/)
    assert.doesNotMatch(app.seen.text, /theirs/)
    if (forwarded === 'replace') assert.doesNotMatch(app.seen.text, /6\.6\.6\.6/)
  })
}

test('headers of ours are added to the answer', async () => {
  await using app = await recorder()
  await using front = await streaming(app, { responseHeaders: { 'Server-Timing': 'wake;dur=5' } })
  using client = front.client()
  assert.equal((await client.ask({})).headers['server-timing'], 'wake;dur=5')
})

for (const [what, answer, method, fields] of [
  ['HEAD with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n', 'HEAD', ['content-length', '500']],
  ['HEAD of a chunked one', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'HEAD', []],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n', 'GET', []],
  [
    '304 with a length',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: "x"\r\n\r\n',
    'GET',
    ['content-length', '9', 'etag', '"x"'],
  ],
  ['an empty one', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'GET', ['content-length', '0']],
] as const) {
  test(`an answer without a body ends with its head, the connection to the app is kept: ${what}`, async () => {
    await using app = await recorder(answer)
    await using front = await streaming(app)
    using client = front.client()
    for (let round = 0; round < 3; round++) {
      const { raw, body } = await client.ask({ ':method': method })
      assert.deepEqual([dateless(raw).slice(2), body], [fields, ''])
    }
    assert.equal(app.sockets.size, 1)
    await until(() => front.outcomes.length === 3)
    assert.deepEqual(front.outcomes, ['done', 'done', 'done'])
  })
}

test('an answer that ends with its connection arrives whole', async () => {
  await using app = await rawApp(socket => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\nto the end')))
  await using front = await streaming(app)
  using client = front.client()
  assert.equal((await client.ask({})).body, 'to the end')
})

test('early hints pass before the answer', async () => {
  await using app = await rawApp(socket =>
    socket.once('data', () => {
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nLink: </b.css>\r\nX-Shadow-State: x\r\n\r\n')
      setImmediate(() => socket.write(OK))
    }),
  )
  await using front = await streaming(app, { strip: 'x-shadow-' })
  using client = front.client()
  const { hints, body } = await client.ask({})
  assert.deepEqual([hints[0]?.[':status'], hints[0]?.['link'], body], [103, '</a.css>, </b.css>', 'ok'])
  assert.equal(hints[0]?.['x-shadow-state'], undefined)
})

test('a switch of protocols that nobody asked for is an error', async () => {
  await using app = await recorder('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
  await using front = await streaming(app)
  using client = front.client()
  assert.equal((await client.ask({})).status, 500)
})

test('requests on one connection do not wait for one another', async () => {
  const waiting: (() => void)[] = []
  await using app = await httpApp((request, response) => {
    const answer = () => response.end(`<${request.url}>`)
    if (request.url === '/1') waiting.push(answer)
    else answer()
  })
  await using front = await streaming(app)
  using client = front.client()
  const first = client.ask({ ':path': '/1' })
  assert.equal((await client.ask({ ':path': '/2' })).body, '</2>')
  waiting[0]?.()
  assert.equal((await first).body, '</1>')
})

test('a refusal by the next hop is thrown and nothing of it passed on', async () => {
  await using app = await recorder(
    'HTTP/1.1 421 Elsewhere\r\nX-Error: volume-elsewhere\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
  )
  await using front = await streaming(app, { refusal: headers => headers['x-error'] !== undefined })
  using client = front.client()
  assert.equal((await client.ask({})).status, 500)
  const [thrown] = front.outcomes
  assert(thrown instanceof Refusal)
  assert.deepEqual([thrown.status, thrown.body, thrown.sent], [421, 'body', false])
})

test('an upstream that takes no connection was not sent anything', async () => {
  const gone = await rawApp(() => undefined)
  await gone[Symbol.asyncDispose]()
  await using front = await streaming(gone)
  using client = front.client()
  assert.equal((await client.ask({ ':method': 'POST' }, 'abc')).status, 500)
  const [thrown] = front.outcomes
  assert(thrown instanceof UpstreamError)
  assert.deepEqual([thrown.stage, thrown.sent], ['connect', false])
})

test('the body waits for an upstream that is asked first, stays whole when it refuses, and goes to another', async () => {
  await using refusing = await recorder('HTTP/1.1 421 Elsewhere\r\nX-Error: x\r\nContent-Length: 0\r\n\r\n')
  await using taking = await httpApp((request, response) => void request.pipe(response))
  await using front = await streaming(
    refusing,
    {},
    {
      async handler(exchange) {
        const hop = { forwarded: 'replace', expect: 'ask', refusal: (headers: object) => 'x-error' in headers } as const
        await assert.rejects(exchange.forward({ address: refusing.address, ...hop }), Refusal)
        await exchange.forward({ address: taking.address, ...hop })
      },
    },
  )
  using client = front.client()
  assert.equal((await client.ask({ ':method': 'POST' }, 'abc')).body, 'abc')
  assert.match(refusing.seen.text, /Expect: 100-continue\r\n(?:[\s\S]*\r\n)?\r\n$/)
  assert.doesNotMatch(refusing.seen.text, /abc/)
})

test('the app says when a client that expects 100 may go on, and the client hears it', async () => {
  const asked: (() => void)[] = []
  await using app = await httpApp(
    () => undefined,
    server =>
      server.on('checkContinue', (request, response) => {
        request.resume().on('end', () => response.end('read'))
        asked.push(() => response.writeContinue())
      }),
  )
  await using front = await streaming(app)
  using client = front.client()
  const stream = client.request({ ':method': 'POST', expect: '100-continue' }, false)
  let goesOn = false
  stream.on('continue', () => {
    goesOn = true
    stream.end('abc')
  })
  const answer = answerTo(stream)
  await until(() => asked.length === 1)
  assert.equal(goesOn, false, 'nobody went on before the app')
  asked[0]?.()
  assert.equal((await answer).body, 'read')
})

for (const [method, again] of [
  ['GET', true],
  ['DELETE', true],
  ['POST', false],
] as const) {
  test(`a kept connection that the app closes just then: ${method} is ${again ? 'sent again' : 'not sent twice'}`, async () => {
    const requests: string[] = []
    await using app = await rawApp(socket => {
      let first = true
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        requests.push(chunk.split(' HTTP')[0] ?? '')
        if (!first) return socket.destroy()
        first = false
        socket.write(OK)
      })
    })
    await using front = await streaming(app)
    using client = front.client()
    await client.ask({ ':path': '/1' })
    const { status } = await client.ask({ ':path': '/2', ':method': method })
    assert.equal(status, again ? 200 : 500)
    assert.equal(requests.filter(line => line.endsWith('/2')).length, again ? 2 : 1)
  })
}

test('an own stream of answers is node:http2’s, and its end is told', async () => {
  const ended: string[] = []
  await using app = await recorder()
  await using front = await streaming(
    app,
    {},
    {
      async handler(exchange) {
        const { request, response, signal } = await exchange.open()
        signal.addEventListener('abort', () => ended.push('aborted'))
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(`${request.method} ${request.url} ${request.headers['x-a']}`)
      },
    },
  )
  using client = new FrameClient(front.port)
  client.ask(1, [...GET, ['x-a', 'b']])
  await client.until(() => client.text(1) === 'GET / b')
  client.send(FRAME.reset, 0, 1, Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]))
  await until(() => ended.length === 1)
})

test('an error of ours is a problem document, with the headers that are ours', async () => {
  await using app = await recorder()
  await using front = await streaming(
    app,
    {},
    {
      async handler(exchange) {
        exchange.ownHeaders['X-Shadow-State'] = 'asleep'
        throw new Error('broken')
      },
    },
  )
  using client = front.client()
  for (const method of ['GET', 'HEAD', 'POST']) {
    const { status, headers, body } = await client.ask({ ':method': method }, method === 'POST' ? 'abc' : undefined)
    assert.deepEqual(
      [status, headers['content-type'], headers['x-shadow-state']],
      [500, 'application/problem+json', 'asleep'],
    )
    assert.equal(body === '', method === 'HEAD')
  }
})

/** The headers without the Date that the front adds if an app sends none. */
function dateless(raw: readonly string[]): readonly string[] {
  const at = raw.indexOf('date')
  assert(at > 0)
  return raw.toSpliced(at, 2)
}
