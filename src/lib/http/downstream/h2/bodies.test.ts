import assert from 'node:assert/strict'
import { once } from 'node:events'
import { constants } from 'node:http2'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'vitest'
import { answerTo, streaming } from '../../../../testing/h2-forwarding.ts'
import { END_STREAM, FRAME, FrameClient, GET, POST } from '../../../../testing/h2-wire.ts'
import { httpApp, rawApp, until } from '../../../../testing/wire.ts'
import { isFailure } from '../../../errors.ts'
import type { RequestHandler } from '../../exchange.ts'
import { UpstreamError } from '../../next-hop.ts'

const MB = 1_048_576
const block = Buffer.alloc(MB / 4, 7)

/** Writes this many megabytes, as fast as the reader takes them. */
async function pour(to: NodeJS.WritableStream & { destroyed?: boolean }, megabytes: number) {
  const closed = new Promise(resolve => to.once('close', resolve))
  for (let left = megabytes * 4; left > 0 && !to.destroyed; left--)
    if (!to.write(block)) await Promise.race([new Promise<void>(resolve => to.once('drain', resolve)), closed])
}

async function drink(from: AsyncIterable<Buffer>): Promise<number> {
  let bytes = 0
  for await (const chunk of from) bytes += chunk.length
  return bytes
}

test('300 MB pass each way in flat memory', async () => {
  await using app = await httpApp(async (request, response) => {
    const bytes = await drink(request)
    response.writeHead(200, { 'content-length': 300 * MB, 'x-bytes': bytes })
    await pour(response, 300)
    response.end()
  })
  await using front = await streaming(app)
  using client = front.client()
  const before = process.memoryUsage().rss
  let most = before
  const sampling = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss)
  }, 20)
  const upload = client.request({ ':method': 'PUT' }, false)
  const answered = once(upload, 'response')
  await pour(upload, 300)
  upload.end()
  const [headers] = await answered
  const bytes = await drink(upload)
  clearInterval(sampling)
  assert.deepEqual([Number(headers['x-bytes']), bytes], [300 * MB, 300 * MB])
  // App and client run in this process. If the body were buffered, its unread part would take 300 MB.
  assert(most - before < 150 * MB, `memory grew by ${Math.round((most - before) / MB)} MB`)
}, 60_000)

test('a body arrives as it was, however it is cut', async () => {
  const sent = Buffer.from(Array.from({ length: 500_000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff))
  await using app = await httpApp((request, response) => {
    if (request.url === '/length') response.setHeader('content-length', sent.length)
    request.pipe(response)
  })
  await using front = await streaming(app)
  using client = front.client()
  for (const path of ['/length', '/chunked']) {
    const stream = client.request({ ':method': 'POST', ':path': path }, false)
    for (let at = 0, size = 1; at < sent.length; at += size, size = (size * 3 + 1) % 40_000)
      stream.write(sent.subarray(at, at + size))
    stream.end()
    const context: Buffer[] = []
    for await (const part of stream as AsyncIterable<Buffer>) context.push(part)
    assert(Buffer.concat(context).equals(sent))
  }
})

test('an empty body that ended while its app was being woken ends at the app, too', async () => {
  await using app = await httpApp(async (request, response) => response.end(`${await drink(request)} bytes`))
  const awake = Promise.withResolvers<void>()
  const handler: RequestHandler = async exchange => {
    await awake.promise
    await exchange.forward({ address: app.address, forwarded: 'replace' })
  }
  await using front = await streaming(app, {}, { handler })
  using client = new FrameClient(front.port)
  for (const [stream, fields] of [
    [1, POST],
    [3, [...POST, ['content-length', '0']]],
  ] as const) {
    client.ask(stream, fields, true)
    client.send(FRAME.data, END_STREAM, stream, Buffer.alloc(0))
  }
  client.send(FRAME.ping, 0, 0, Buffer.alloc(8))
  await client.until(() => client.of(FRAME.ping).length === 1)
  awake.resolve()
  await client.until(() => client.endOf(1) && client.endOf(3))
  assert.deepEqual([client.text(1), client.text(3)], ['0 bytes', '0 bytes'])
})

test('a client that does not read keeps the app from writing on, and other streams go on', async () => {
  let written = 0
  await using app = await rawApp(socket => {
    socket.once('data', async (head: Buffer) => {
      if (!head.includes('/big')) return socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
      while (!socket.destroyed) {
        const room = socket.write(block)
        written += block.length
        if (!room) await new Promise(resolve => socket.once('drain', resolve).once('close', resolve))
      }
    })
  })
  await using front = await streaming(app)
  using client = front.client()
  const stream = client.request({ ':path': '/big' })
  stream.pause()
  await once(stream, 'response')
  let seen = -1
  // The app is blocked once its count has not changed for 200 rounds of an otherwise idle event loop.
  for (let still = 0; still < 200; still++) {
    if (written !== seen) still = 0
    seen = written
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  assert(written < 16 * MB, `the app wrote ${written} bytes to a client that reads none`)
  assert.equal((await client.ask({ ':path': '/small' })).body, 'ok')
})

test('an app that does not read keeps the client from sending on, and other streams go on', async () => {
  await using app = await rawApp(socket => {
    socket.once('data', (head: Buffer) => {
      if (head.includes('/big')) socket.pause()
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  await using front = await streaming(app)
  using client = front.client()
  const stream = client.request({ ':method': 'POST', ':path': '/big' }, false)
  let taken = 0
  stream.on('error', () => undefined)
  const send = (): void =>
    void stream.write(block, error => {
      if (error) return
      taken += block.length
      send()
    })
  send()
  let seen = -1
  for (let still = 0; still < 200; still++) {
    if (taken !== seen) still = 0
    seen = taken
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  assert(taken < 16 * MB, `${taken} bytes were taken for an app that reads none`)
  assert.equal((await client.ask({ ':path': '/small' })).body, 'ok')
})

test('server-sent events arrive one by one, the head before the first', async () => {
  const streams: { write(text: string): void }[] = []
  await using app = await httpApp((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    streams.push(response)
  })
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  client.ask(1)
  await client.until(() => client.of(FRAME.headers, 1).length === 1)
  streams[0]?.write('data: 1\n\n')
  await client.until(() => client.text(1) === 'data: 1\n\n')
  streams[0]?.write('data: 2\n\n')
  await client.until(() => client.text(1) === 'data: 1\n\ndata: 2\n\n')
})

test('a request and its answer stream at the same time', async () => {
  await using app = await httpApp((request, response) => void request.pipe(response))
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  client.ask(1, POST, true)
  client.send(FRAME.data, 0, 1, Buffer.from('one'))
  await client.until(() => client.text(1) === 'one')
  client.send(FRAME.data, END_STREAM, 1, Buffer.from('two'))
  await client.until(() => client.endOf(1))
  assert.equal(client.text(1), 'onetwo')
  await until(() => front.outcomes.length === 1)
  assert.deepEqual(front.outcomes, ['done'])
})

for (const [what, send] of [
  [
    'resets its stream before the answer',
    (client: FrameClient) => client.send(FRAME.reset, 0, 1, Buffer.from([0, 0, 0, 8])),
  ],
  ['closes its connection', (client: FrameClient) => client.socket.destroy()],
  ['ends its side of it', (client: FrameClient) => client.socket.end()],
] as const) {
  for (const fields of [GET, POST]) {
    test(`a client that ${what} has its request to the app closed: ${fields[0]?.[1]}`, async () => {
      await using app = await httpApp(request => void request.resume().on('error', () => undefined))
      await using front = await streaming(app)
      using client = new FrameClient(front.port)
      client.ask(1, fields, fields === POST)
      await until(() => app.sockets.size === 1)
      send(client)
      await until(() => app.sockets.size === 0 && front.outcomes.length === 1)
      assert(isFailure(front.outcomes[0], 'client-gone'))
    })
  }
}

for (const method of ['GET', 'HEAD']) {
  test(`a ${method} that is reset is not answered, whoever tries: the app, late, or we`, async () => {
    const waiting: (() => void)[] = []
    const ours: (() => void)[] = []
    await using app = await rawApp(socket =>
      socket.once('data', () =>
        waiting.push(() =>
          socket.write('HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'),
        ),
      ),
    )
    const late = new Error('late')
    await using front = await streaming(
      app,
      {},
      {
        async handler(exchange) {
          if (exchange.target === '/app') return exchange.forward({ address: app.address, forwarded: 'replace' })
          await new Promise<void>(resolve => ours.push(resolve))
          throw late
        },
      },
    )
    using client = new FrameClient(front.port)
    const ask = (path: string) => [[':method', method], [':path', path], ...GET.slice(2)] as const
    client.ask(1, ask('/app'), true)
    client.ask(3, ask('/ours'), true)
    await until(() => waiting.length === 1 && ours.length === 1)
    for (const stream of [1, 3]) client.send(FRAME.reset, 0, stream, Buffer.from([0, 0, 0, 8]))
    client.send(FRAME.ping, 0, 0, Buffer.alloc(8))
    await client.until(() => client.of(FRAME.ping).length === 1)
    for (const answer of [...waiting, ...ours]) answer()
    client.ask(5, ask('/ours'))
    await until(() => ours.length === 2)
    ours[1]?.()
    await client.until(() => client.endOf(5))
    assert.deepEqual([client.of(FRAME.headers, 1).length, client.of(FRAME.headers, 3).length], [0, 0])
  })
}

test('a client that resets its stream in the middle of a download has it closed at the app, and asks on', async () => {
  await using app = await httpApp((request, response) => {
    if (request.url === '/') response.writeHead(200).write('some')
    else response.end('more')
  })
  await using front = await streaming(app)
  using client = front.client()
  const stream = client.request({})
  stream.on('error', () => undefined)
  await once(stream, 'data')
  stream.close(constants.NGHTTP2_CANCEL)
  await until(() => app.sockets.size === 0 && front.outcomes.length === 1)
  assert(isFailure(front.outcomes[0], 'client-gone'))
  assert.equal((await client.ask({ ':path': '/2' })).body, 'more')
})

for (const [what, head, body] of [
  ['with a length', 'Content-Length: 100\r\n', 'hello'],
  ['chunked', 'Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n'],
] as const) {
  for (const [how, end] of [
    ['by an end', (socket: Socket) => socket.end()],
    ['by a reset', (socket: Socket) => socket.resetAndDestroy()],
  ] as const) {
    test(`an upstream that dies in the middle of its answer resets the stream, which has no end: ${what}, ${how}`, async () => {
      const sockets: Socket[] = []
      await using app = await rawApp(socket => {
        sockets.push(socket)
        socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n${body}`))
      })
      await using front = await streaming(app)
      using client = new FrameClient(front.port)
      client.ask(1)
      await client.until(() => client.text(1) === 'hello')
      const [socket] = sockets
      if (socket !== undefined) end(socket)
      await client.until(() => client.resetOf(1) !== undefined)
      assert.equal(client.resetOf(1), constants.NGHTTP2_INTERNAL_ERROR)
      assert.equal(client.endOf(1), false, 'it must not look whole')
      const [thrown] = front.outcomes
      assert(thrown instanceof UpstreamError && thrown.stage === 'body' && thrown.sent)
      assert.equal(client.closed, false, 'the connection goes on')
    })
  }
}

test('an upstream that dies while its client takes nothing resets the stream, which has no end', async () => {
  await using app = await rawApp(socket =>
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n')
      socket.write(Buffer.alloc(100_000), () => socket.destroy())
    }),
  )
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  client.ask(1)
  await client.until(() => client.resetOf(1) !== undefined)
  assert.equal(client.endOf(1), false, 'it must not look whole')
})

test('an answer whose framing is broken in the middle resets the stream', async () => {
  await using app = await rawApp(socket =>
    socket.once('data', () =>
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nevil\r\n'),
    ),
  )
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  client.ask(1)
  await client.until(() => client.resetOf(1) !== undefined)
  assert.equal(client.endOf(1), false)
})

test('an upstream that dies before its head fails the request, which was sent', async () => {
  await using app = await rawApp(socket => socket.once('data', () => socket.destroy()))
  await using front = await streaming(app)
  using client = front.client()
  assert.equal((await client.ask({})).status, 500)
  const [thrown] = front.outcomes
  assert(thrown instanceof UpstreamError)
  assert.deepEqual([thrown.stage, thrown.sent], ['head', true])
})

for (const [what, sized] of [
  ['with a length', true],
  ['of unknown length', false],
] as const) {
  test(`an app that answers 413 during a 50 MB upload ${what} and closes at once is heard; the rest is not wanted`, async () => {
    await using app = await rawApp(socket =>
      socket.once('data', () => {
        socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large', () =>
          socket.destroy(),
        )
      }),
    )
    await using front = await streaming(app)
    using client = front.client()
    for (let round = 0; round < 5; round++) {
      const upload = client.request({ ':method': 'POST', ...(sized && { 'content-length': 50 * MB }) }, false)
      upload.on('error', () => undefined)
      const answer = answerTo(upload)
      const poured = pour(upload, 50)
      const { status, body } = await answer
      assert.deepEqual([status, body], [413, 'too large'], `round ${round}`)
      await poured
      await until(() => upload.closed)
      assert.equal(upload.rstCode, constants.NGHTTP2_NO_ERROR)
    }
    assert.equal(client.session.closed, false)
  })
}

test('an error of ours in the middle of an upload is heard, and the stream ended without an error', async () => {
  const gone = await rawApp(() => undefined)
  await gone[Symbol.asyncDispose]()
  await using front = await streaming(gone)
  using client = new FrameClient(front.port)
  client.ask(1, POST, true)
  client.send(FRAME.data, 0, 1, Buffer.alloc(10_000))
  await client.until(() => client.resetOf(1) !== undefined)
  assert.equal(client.resetOf(1), constants.NGHTTP2_NO_ERROR)
  assert.equal(client.endOf(1), true)
  assert.match(client.text(1), /"status":500/)
})

test('an upload that takes longer than any limit goes on as long as bytes come; one that stalls is told, then reset', async () => {
  let received = 0
  await using app = await httpApp((request, response) => {
    request
      .on('error', () => undefined)
      .on('data', chunk => {
        received += chunk.length
      })
    request.on('end', () => response.end('20'))
  })
  await using front = await streaming(app, {}, { limits: { stalledAfterMs: 1_000 } })
  using client = new FrameClient(front.port)
  client.ask(1, [...POST, ['content-length', '20']], true)
  for (let byte = 0; byte < 20; byte++) {
    client.send(FRAME.data, byte === 19 ? END_STREAM : 0, 1, Buffer.from('x'))
    await until(() => received === byte + 1)
    await front.clock.advance(500)
  }
  await client.until(() => client.text(1) === '20')
  client.ask(3, [...POST, ['content-length', '20']], true)
  client.send(FRAME.data, 0, 3, Buffer.from('abc'))
  await until(() => app.sockets.size === 1 && received === 23)
  await front.clock.advance(2_000)
  await client.until(() => client.resetOf(3) !== undefined)
  assert.match(client.text(3), /too-slow/)
  await until(() => app.sockets.size === 0)
})

test('a reader that takes no byte is reset; an app that takes its time is nobody’s fault', async () => {
  await using app = await httpApp(async (request, response) => {
    if (request.url === '/silent') return
    response.writeHead(200, { 'content-length': 60 * MB })
    response.on('error', () => undefined)
    await pour(response, 60)
    response.end()
  })
  await using front = await streaming(app, {}, { limits: { stalledAfterMs: 1_000 } })
  using client = front.client()
  const silent = client.request({ ':path': '/silent' })
  const stream = client.request({})
  let read = 0
  stream
    .on('error', () => undefined)
    .on('data', chunk => {
      read += chunk.length
    })
  for (let piece = 1; piece <= 5; piece++) {
    stream.resume()
    await until(() => read >= piece * 5 * MB)
    stream.pause()
    await front.clock.advance(500)
  }
  assert.deepEqual(front.outcomes, [])
  await until(() => {
    void front.clock.advance(250)
    return front.outcomes.length === 1
  })
  assert(isFailure(front.outcomes[0], 'client-gone'))
  assert.equal(silent.closed, false)
})

test('a body larger than what is taken is 413, told or found', async () => {
  await using app = await httpApp((request, response) => {
    request.on('error', () => undefined)
    request.resume().on('end', () => response.end('taken'))
  })
  await using front = await streaming(app, {}, { limits: { bodyBytes: 1_000 } })
  using client = front.client()
  assert.equal((await client.ask({ ':method': 'POST' }, Buffer.alloc(1_000))).body, 'taken')
  for (const length of [{ 'content-length': 2_000 }, {}]) {
    const { status, body } = await client.ask({ ':method': 'POST', ...length }, Buffer.alloc(2_000))
    assert.equal(status, 413)
    assert.match(body, /too-large/)
  }
})

test('an answer is whole though its client reads late', async () => {
  await using app = await httpApp((_request, response) => response.end('x'.repeat(300_000)))
  await using front = await streaming(app)
  using client = front.client()
  const stream = client.request({})
  await once(stream, 'response')
  await new Promise(resolve => setImmediate(resolve))
  assert.equal((await text(stream)).length, 300_000)
})
