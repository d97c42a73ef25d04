import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { test } from 'vitest'
import { HandClock } from '../../../../testing/clock.ts'
import { open, RawClient, until } from '../../../../testing/wire.ts'
import { noLog } from '../../../log.ts'
import { openEvents } from '../../api/events.ts'
import { byHandler, type Handler, readJson, reply } from '../../api/request-handler.ts'
import type { StreamedRequest, StreamedResponse } from '../../exchange.ts'
import { ExchangeServer, type ExchangeServerOptions, netServer } from '../exchange-server.ts'

async function serving(handler: Handler, options: Partial<ExchangeServerOptions> = {}) {
  const clock = new HandClock()
  const exchanges = new ExchangeServer({
    log: noLog,
    clock,
    ...options,
    handler: exchange => byHandler(exchange, handler, noLog),
  })
  const opened = await open(netServer(exchanges))
  return {
    ...opened,
    clock,
    exchanges,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]()
      exchanges[Symbol.dispose]()
    },
  }
}

const get = (path: string, more = '', method = 'GET', version = '1.1'): string =>
  `${method} ${path} HTTP/${version}\r\nHost: a\r\n${more}\r\n`
const post = (body: string, path = '/'): string => `${get(path, `Content-Length: ${body.length}\r\n`, 'POST')}${body}`

/** Answers with the request as it was received. */
const echo: Handler = async (request, response) =>
  reply(response, 200, {
    at: `${request.method} ${request.url}`,
    host: request.headers['host'],
    body: await readJson(request),
  })

test('a small answer tells its length, and the connection serves the next request', async () => {
  await using front = await serving(echo)
  using client = new RawClient(front.port, post('{"a":1}', '/x?y') + post('[]', '/z'))
  await client.until('"body":[]}')
  assert.match(
    client.text,
    /^HTTP\/1\.1 200 OK\r\nDate: [^\r]*\r\ncontent-type: application\/json\r\nContent-Length: 45\r\n\r\n\{"at":"POST \/x\?y","host":"a","body":\{"a":1\}\}\nHTTP\/1\.1 200 OK\r\n/,
  )
})

test('a body that comes in pieces and chunks is read as what is in it', async () => {
  await using front = await serving(async (request, response) => void response.end(await text(request)))
  using client = new RawClient(front.port, get('/', 'Transfer-Encoding: chunked\r\n', 'POST'))
  for (const piece of ['3;x=y\r\nab', 'c\r\n2\r\n', 'de\r\n0\r\nX-T: v\r\n', '\r\n']) {
    client.send(piece)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  await client.until('\r\n\r\nabcde')
})

for (const [what, request, expected] of [
  [
    'HTTP/1.1',
    get('/'),
    /Transfer-Encoding: chunked\r\n\r\n[0-9a-f]+\r\n: hello\n\n\r\n[0-9a-f]+\r\ndata: 1\n\n\r\n0\r\n\r\n$/,
  ],
  [
    'HTTP/1.0',
    get('/', 'Connection: keep-alive\r\n', 'GET', '1.0'),
    /Connection: close\r\n\r\n: hello\n\ndata: 1\n\n$/,
  ],
] as const)
  test(`server-sent events come as they are sent, and end with the answer: ${what}`, async () => {
    await using front = await serving(async (_request, response) => {
      const send = openEvents(response, 60_000)
      await new Promise(resolve => setImmediate(resolve))
      send(1)
      response.end()
    })
    using client = new RawClient(front.port, request)
    await client.until(expected)
    if (what === 'HTTP/1.0') await client.closed()
  })

test('an answer to HEAD has no body, and one with 204 no framing', async () => {
  await using front = await serving(async (request, response) => {
    if (request.method === 'HEAD') reply(response, 200, { a: 1 })
    else response.writeHead(204).end()
  })
  using client = new RawClient(front.port, get('/', '', 'HEAD') + get('/', '', 'DELETE'))
  await client.until(/ 204 [\s\S]*\r\n\r\n$/)
  assert.match(client.text, /Content-Length: 8\r\n\r\nHTTP\/1\.1 204 No Content\r\nDate: [^\r]*\r\n\r\n$/)
})

test('a client that waits to be told is told to go on once its body is read, not before', async () => {
  let read = (): void => undefined
  await using front = await serving(async (request, response) => {
    await new Promise<void>(resolve => {
      read = resolve
    })
    response.end(await text(request))
  })
  using client = new RawClient(front.port, get('/', 'Expect: 100-continue\r\nContent-Length: 3\r\n', 'POST'))
  await until(() => front.exchanges.counters.requests === 1)
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(client.text, '')
  read()
  await client.until('100 Continue\r\n\r\n')
  client.send('abc')
  await client.until('\r\n\r\nabc')
})

test('an error is answered with its problem document; the body that nobody has read ends the connection', async () => {
  await using front = await serving(async () => {
    throw new Error('boom')
  })
  using client = new RawClient(front.port, get('/', 'Content-Length: 3000000\r\n', 'POST'))
  client.send('x'.repeat(3_000_000))
  assert.match(await client.closed(), /^HTTP\/1\.1 500 [\s\S]*Connection: close\r\n\r\n\{[^}]*"internal"[^}]*\}\n$/)
  assert.equal(front.exchanges.counters.byError['internal'], 1)
})

for (const [what, body, status] of [
  ['a chunk that is none', 'Transfer-Encoding: chunked\r\n\r\nxyz\r\n', 400],
  ['more than the limit, in chunks', `Transfer-Encoding: chunked\r\n\r\n7d0\r\n${'x'.repeat(2_000)}\r\n0\r\n\r\n`, 413],
  ['no more of it for too long', 'Content-Length: 9\r\n\r\nabc', 408],
] as const)
  test(`a body that is refused is an error of its reader, and ends the connection: ${what}`, async () => {
    await using front = await serving(async (request, response) => void response.end(await text(request)), {
      limits: { bodyBytes: 1_000, stalledAfterMs: 2_000 },
    })
    using client = new RawClient(front.port, `POST / HTTP/1.1\r\nHost: a\r\n${body}`)
    await until(() => front.exchanges.counters.requests === 1)
    for (let looks = 0; looks < 8 && !client.ended; looks += 1) {
      await new Promise(resolve => setImmediate(resolve))
      await front.clock.advance(500)
    }
    assert.match(await client.closed(), new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*Connection: close\\r\\n`))
  })

test('a header that would split the head is an error, and not sent', async () => {
  await using front = await serving(async (_request, response) => {
    response.writeHead(200, { 'x-a': 'b\r\nx-evil: 1' })
  })
  using client = new RawClient(front.port, get('/'))
  assert.match(await client.until('}\n'), /^HTTP\/1\.1 500 /)
  assert.doesNotMatch(client.text, /evil/)
})

test('a client that leaves is told of by the signal, and by the close of the answer', async () => {
  const heard: string[] = []
  await using front = await serving(async (_request, response, signal) => {
    response.on('close', () => heard.push('close'))
    signal.addEventListener('abort', () => heard.push('abort'))
    openEvents(response, 60_000)
    await new Promise(resolve => signal.addEventListener('abort', resolve))
  })
  using client = new RawClient(front.port, get('/'))
  await client.until('hello')
  client.socket.resetAndDestroy()
  await until(() => heard.length === 2)
  await until(() => front.exchanges.open === 0)
})

test('what is answered after its client has left goes to nobody, and the next client gets its own answer', async () => {
  let left = 0
  await using front = await serving(async (request, response, signal) => {
    if (request.url !== '/leaves') {
      reply(response, 200, request.url)
      return
    }
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    reply(response, 200, 'secret')
    left += 1
  })
  using leaver = new RawClient(front.port, get('/leaves'))
  await until(() => front.exchanges.counters.requests === 1)
  leaver.socket.resetAndDestroy()
  await until(() => left === 1)
  using next = new RawClient(front.port, get('/next'))
  assert.match(await next.until('"/next"'), /^HTTP\/1\.1 200 OK\r\n[^{]*\r\n\r\n"\/next"/)
  assert.doesNotMatch(next.text, /secret/)
  assert.equal(next.text.match(/HTTP/g)?.length, 1)
})

test('an answer that its handler breaks off does not look whole', async () => {
  await using front = await serving(async (_request, response) => {
    response.write('begun')
    throw new Error('boom')
  })
  using client = new RawClient(front.port, get('/'))
  await client.closed()
  assert.doesNotMatch(client.text, /\r\n0\r\n/)
})

test('a client that does not read keeps the handler from writing on', async () => {
  const chunk = Buffer.alloc(65_536)
  let written = 0
  await using front = await serving(async (_request, response, signal) => {
    while (!signal.aborted && written < 64e6) {
      written += chunk.length
      if (!response.write(chunk)) await drained(response, signal)
    }
  })
  using client = new RawClient(front.port, get('/'))
  await client.until('200 OK')
  client.socket.pause()
  let last = -1
  for (let quiet = 0; quiet < 100; quiet += 1) {
    if (written !== last) quiet = 0
    last = written
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  assert(written < 64e6, `${written} bytes were written for a client that reads none`)
})

test('a body is read no faster than its handler takes it', async () => {
  const held: StreamedRequest[] = []
  await using front = await serving(async request => {
    held.push(request)
    await new Promise(() => undefined)
  })
  using client = new RawClient(front.port, get('/', 'Content-Length: 30000000\r\n', 'POST'))
  client.send('x'.repeat(30_000_000))
  await until(() => held.length === 1)
  held[0]?.once('readable', () => undefined)
  let left = -1
  for (let still = 0; still < 100; still += 1) {
    if (client.socket.writableLength !== left) still = 0
    left = client.socket.writableLength
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  assert(left > 15_000_000, `only ${left} bytes were kept back`)
})

const drained = (response: StreamedResponse, signal: AbortSignal): Promise<unknown> =>
  Promise.race([
    new Promise(resolve => response.once('drain', resolve)),
    new Promise(resolve => signal.addEventListener('abort', resolve)),
  ])
