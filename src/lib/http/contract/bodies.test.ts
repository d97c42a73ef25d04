import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { test } from 'vitest'
import { forwarding } from '../../../testing/forwarding.ts'
import { httpApp, RawClient, rawApp, until } from '../../../testing/wire.ts'
import { isFailure } from '../../errors.ts'
import { UpstreamError } from '../next-hop.ts'

const MB = 1_048_576
const block = Buffer.alloc(MB / 4, 7)

/** Writes this many megabytes, as fast as the reader takes them. */
async function pour(
  to: { write(chunk: Buffer): boolean; once(event: 'drain', listener: () => void): unknown },
  megabytes: number,
) {
  for (let left = megabytes * 4; left > 0; left--) if (!to.write(block)) await once(to as never, 'drain')
}

async function drink(from: IncomingMessage): Promise<number> {
  let bytes = 0
  for await (const chunk of from as AsyncIterable<Buffer>) bytes += chunk.length
  return bytes
}

test('300 MB pass each way in flat memory', async () => {
  await using app = await httpApp(async (request, response) => {
    const bytes = await drink(request)
    response.writeHead(200, { 'content-length': 300 * MB, 'x-bytes': bytes })
    await pour(response, 300)
    response.end()
  })
  await using front = await forwarding(app)
  const before = process.memoryUsage().rss
  let most = before
  const sampling = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss)
  }, 20)
  const upload = httpRequest({ port: front.port, method: 'PUT', agent: false, headers: { host: 'a' } })
  const answered = once(upload, 'response') as Promise<[IncomingMessage]>
  await pour(upload, 300)
  upload.end()
  const [answer] = await answered
  const bytes = await drink(answer)
  clearInterval(sampling)
  assert.equal(Number(answer.headers['x-bytes']), 300 * MB)
  assert.equal(bytes, 300 * MB)
  // App and client run in this process. If the body were buffered, its unread part would take 300 MB.
  assert(most - before < 150 * MB, `memory grew by ${Math.round((most - before) / MB)} MB`)
})

test('a client that does not read keeps the app from writing on', async () => {
  let written = 0
  await using app = await rawApp(socket => {
    socket.once('data', async () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
      while (!socket.destroyed) {
        const room = socket.write(block)
        written += block.length
        if (!room) await new Promise(resolve => socket.once('drain', resolve).once('close', resolve))
      }
    })
  })
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until('200 OK')
  client.socket.pause()
  let seen = -1
  // The app is blocked once its count has not changed for 200 rounds of an otherwise idle event loop.
  for (let still = 0; still < 200; still++) {
    if (written !== seen) still = 0
    seen = written
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  assert(written < 64 * MB, `the app wrote ${written} bytes to a client that reads none`)
})

test('server-sent events arrive one by one, the head before the first', async () => {
  const streams: { write(text: string): void }[] = []
  await using app = await httpApp((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    streams.push(response)
  })
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until('text/event-stream')
  streams[0]?.write('data: 1\n\n')
  await client.until('data: 1')
  streams[0]?.write('data: 2\n\n')
  await client.until('data: 2')
})

test('a request and its answer stream at the same time', async () => {
  await using app = await httpApp((request, response) => void request.pipe(response))
  await using front = await forwarding(app)
  using client = new RawClient(
    front.port,
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n',
  )
  await client.until('one')
  client.send('3\r\ntwo\r\n0\r\n\r\n')
  await client.until(/two[\s\S]*\r\n0\r\n\r\n/)
  assert.deepEqual(front.outcomes, ['done'])
})

test('a client that leaves before the answer has its request to the app closed', async () => {
  const closed: string[] = []
  await using app = await httpApp(request => void request.socket.on('close', () => closed.push(request.url ?? '')))
  await using front = await forwarding(app)
  const client = new RawClient(front.port, 'GET /waiting HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => app.sockets.size === 1)
  client.socket.destroy()
  await until(() => {
    void front.clock.advance(500) // after a FIN alone, the client may still wait for its answer
    return closed.length === 1 && front.outcomes.length === 1
  })
  assert(isFailure(front.outcomes[0], 'client-gone'))
})

test('a client that leaves in the middle of an upload or a download has it closed at the app', async () => {
  await using app = await httpApp((request, response) => {
    if (request.method === 'GET') response.writeHead(200).write('some')
    else request.resume().on('error', () => undefined)
  })
  await using front = await forwarding(app)
  for (const send of [
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  ]) {
    const client = new RawClient(front.port, send)
    await until(() => app.sockets.size === 1)
    if (send.startsWith('GET')) await client.until('some')
    client.socket.destroy()
    await until(() => {
      void front.clock.advance(500)
      return app.sockets.size === 0
    })
  }
})

for (const [what, head] of [
  ['with a length', 'Content-Length: 100\r\n'],
  ['chunked', 'Transfer-Encoding: chunked\r\n'],
] as const) {
  test(`an upstream that dies in the middle of its answer cuts the client's connection: ${what}`, async () => {
    const sockets: Socket[] = []
    await using app = await rawApp(socket => {
      sockets.push(socket)
      socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n5\r\nhello\r\n`))
    })
    await using front = await forwarding(app)
    using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.until('hello')
    sockets[0]?.destroy()
    const all = await client.closed()
    assert.doesNotMatch(all, /\r\n0\r\n\r\n/, 'it must not look whole')
    const [thrown] = front.outcomes
    assert(thrown instanceof UpstreamError && thrown.stage === 'body' && thrown.sent)
  })
}

test('an HTTP/1.0 client, who has no other sign, sees a reset when the upstream dies in the middle', async () => {
  const sockets: Socket[] = []
  await using app = await rawApp(socket => {
    sockets.push(socket)
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'))
  })
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  await client.until('hello')
  sockets[0]?.destroy()
  await client.closed()
  assert.equal((client.error as NodeJS.ErrnoException | undefined)?.code, 'ECONNRESET')
})

test('an upstream that dies before its head fails the request, which was sent', async () => {
  await using app = await rawApp(socket => socket.once('data', () => socket.destroy()))
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until('500')
  const [thrown] = front.outcomes
  assert(thrown instanceof UpstreamError)
  assert.deepEqual([thrown.stage, thrown.sent], ['head', true])
})

test('an app that answers 413 during a 50 MB upload and closes at once is heard', async () => {
  await using app = await rawApp(socket =>
    socket.once('data', () => {
      socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large', () =>
        socket.destroy(),
      )
    }),
  )
  await using front = await forwarding(app)
  for (let round = 0; round < 5; round++) {
    using client = new RawClient(
      front.port,
      `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${50 * MB}\r\n\r\n`,
    )
    client.socket.pause()
    await pour(client.socket, 50) // the client reads nothing before it has sent the whole body
    client.socket.resume()
    assert.match(await client.closed(), /^HTTP\/1\.1 413 Too Large\r\n[\s\S]*too large$/, `round ${round}`)
  }
})

test('an error of ours in the middle of a 50 MB upload is heard too, and the connection is closed after', async () => {
  const gone = await rawApp(() => undefined)
  await gone[Symbol.asyncDispose]()
  await using front = await forwarding(gone)
  using client = new RawClient(
    front.port,
    `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${50 * MB}\r\n\r\n`,
  )
  client.socket.pause()
  await pour(client.socket, 50)
  client.socket.resume()
  assert.match(await client.closed(), /^HTTP\/1\.1 500 [\s\S]*problem\+json/)
})

test('an upload that takes longer than any limit goes on as long as bytes come', async () => {
  let received = 0
  await using app = await httpApp((request, response) => {
    request.on('data', chunk => {
      received += chunk.length
    })
    request.on('end', () => response.end('20'))
  })
  await using front = await forwarding(app, {}, { limits: { stalledAfterMs: 1_000 } })
  using client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n')
  for (let byte = 0; byte < 20; byte++) {
    client.send('x')
    await until(() => received === byte + 1)
    await front.clock.advance(900)
  }
  assert.match(await client.until('20'), /200 OK/)
})

test('an upload of which no byte comes any more is cut', async () => {
  await using app = await httpApp(request => void request.resume().on('error', () => undefined))
  await using front = await forwarding(app, {}, { limits: { stalledAfterMs: 1_000 } })
  using _client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nabc')
  await until(() => app.sockets.size === 1)
  for (let left = 0; left < 8 && front.outcomes.length === 0; left++) await front.clock.advance(250)
  await until(() => app.sockets.size === 0)
  assert(isFailure(front.outcomes[0], 'too-slow'))
})

test("a slow reader is not cut, one that takes no byte is; an app that takes its time is nobody's fault", async () => {
  await using app = await httpApp(async (request, response) => {
    if (request.url === '/silent') return
    response.writeHead(200, { 'content-length': 60 * MB })
    response.on('error', () => undefined)
    await pour(response, 60).catch(() => undefined)
    response.end()
  })
  await using front = await forwarding(app, {}, { limits: { stalledAfterMs: 1_000 } })
  using silent = new RawClient(front.port, 'GET /silent HTTP/1.1\r\nHost: a\r\n\r\n')
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  let read = 0
  client.socket.on('data', chunk => {
    read += chunk.length
  })
  await until(() => read > 0)
  for (let piece = 1; piece <= 5; piece++) {
    client.socket.resume()
    await until(() => read >= piece * 5 * MB)
    client.socket.pause()
    await front.clock.advance(900)
  }
  assert.deepEqual(front.outcomes, [], 'two seconds and more have passed on the clock, with bytes taken in each')
  await until(() => {
    void front.clock.advance(250)
    return front.outcomes.length === 1
  })
  assert(isFailure(front.outcomes[0], 'client-gone'))
  assert.equal(silent.ended, false)
})
