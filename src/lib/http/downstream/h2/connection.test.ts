import assert from 'node:assert/strict'
import { constants } from 'node:http2'
import { test } from 'vitest'
import { answerTo, streaming } from '../../../../testing/h2-forwarding.ts'
import {
  ACK,
  block,
  END_HEADERS,
  END_STREAM,
  FRAME,
  type Frame,
  FrameClient,
  frame,
  GET,
  POST,
} from '../../../../testing/h2-wire.ts'
import { httpApp, until } from '../../../../testing/wire.ts'
import { isFailure } from '../../../errors.ts'
import type { Http2Connection } from './connection.ts'
import type { Http2Exchange } from './exchange.ts'

const answering = () => httpApp((_request, response) => response.end('ok'))
const silent = () => httpApp(request => void request.on('error', () => undefined))

/** The limit of open streams that the server announced to the client (RFC 9113, 6.5.2). */
function streamsOf(client: FrameClient): number | undefined {
  const told = client.of(FRAME.settings)[0]?.payload ?? Buffer.alloc(0)
  for (let at = 0; at < told.length; at += 6)
    if (told.readUInt16BE(at) === constants.NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) return told.readUInt32BE(at + 2)
  return undefined
}

test('a client is told how many streams it may have, and ended when it has heard and asks for more', async () => {
  await using app = await silent()
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  await client.until(() => client.of(FRAME.settings).length > 0)
  for (let stream = 1; stream <= 2 * 140; stream += 2) client.ask(stream)
  await client.until(() => client.goneWith === constants.NGHTTP2_PROTOCOL_ERROR && client.closed)
  assert.equal(streamsOf(client), 128)
  assert(front.exchanges.counters.requests <= 128)
  await front.clock.advance(5_000)
  await until(() => app.sockets.size === 0)
})

for (const [what, fields] of [
  ['too many headers', Array.from({ length: 140 }, (_, at) => [`x-${at}`, 'y'] as const)],
  ['a head that is too large', Array.from({ length: 40 }, (_, at) => [`x-${at}`, 'y'.repeat(1_000)] as const)],
] as const) {
  test(`${what}: 431, and the connection goes on`, async () => {
    await using app = await answering()
    await using front = await streaming(app)
    using client = front.client()
    const { status, body } = await client.ask(Object.fromEntries(fields))
    assert.equal(status, 431)
    assert.match(body, /bad-input/)
    assert.equal((await client.ask({})).status, 200)
    assert.equal(front.exchanges.counters.requests, 1)
  })
}

test('one of many connections of a client is given fewer streams', async () => {
  await using app = await silent()
  await using front = await streaming(app, {}, { connections: { mostPerAddress: 100 } })
  await using clients = new AsyncDisposableStack()
  const given: (number | undefined)[] = []
  for (let connections = 1; connections <= 80; connections++) {
    const client = clients.use(new FrameClient(front.port))
    await client.until(() => client.of(FRAME.settings).length > 0)
    given.push(streamsOf(client))
  }
  assert.deepEqual([given[0], given[1], given[7], given[79]], [128, 128, 32, 8])
})

test('a target that is too long: 414', async () => {
  await using app = await answering()
  await using front = await streaming(app)
  using client = front.client()
  assert.equal((await client.ask({ ':path': `/${'x'.repeat(17_000)}` })).status, 414)
})

test('crumbs of a cookie count as one header', async () => {
  await using app = await answering()
  await using front = await streaming(app)
  using client = front.client()
  assert.equal((await client.ask({ cookie: Array.from({ length: 150 }, (_, at) => `c${at}=1`) })).status, 200)
})

test('far too many headers reset the stream, before they are taken in', async () => {
  await using app = await answering()
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  const crumbs = Array.from({ length: 1_000 }, () => ['cookie', 'a=1'] as const)
  client.ask(1, [...GET, ...crumbs])
  await client.until(() => client.resetOf(1) !== undefined)
  assert.equal(client.resetOf(1), constants.NGHTTP2_ENHANCE_YOUR_CALM)
  assert.equal(front.exchanges.counters.requests, 0)
})

test('streams that are opened and reset at once, again and again, end the connection and leave nothing behind', async () => {
  await using app = await silent()
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  const cancel = Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL])
  let stream = 1
  while (!client.closed && stream < 20_000) {
    const both: Buffer[] = []
    for (let more = 0; more < 50; more++, stream += 2)
      both.push(
        frame(FRAME.headers, END_HEADERS | END_STREAM, stream, block(GET)),
        frame(FRAME.reset, 0, stream, cancel),
      )
    if (client.socket.writable) client.socket.write(Buffer.concat(both))
    await new Promise(resolve => setImmediate(resolve))
  }
  assert(client.closed, 'it was let go on')
  assert(front.exchanges.counters.requests < 1_000, `${front.exchanges.counters.requests} requests were begun`)
  await until(() => front.exchanges.open === 0 && front.outcomes.length === front.exchanges.counters.requests)
  await front.clock.advance(5_000)
  await until(() => app.sockets.size === 0)
})

for (const [what, flood] of [
  [
    'CONTINUATION',
    (client: FrameClient, at: number) => {
      if (at === 0) client.send(FRAME.headers, 0, 1, block(GET))
      else client.send(FRAME.continuation, 0, 1, block([['x', 'y'.repeat(1_000)]]))
    },
  ],
  [
    'empty CONTINUATION',
    (client: FrameClient, at: number) => {
      if (at === 0) client.send(FRAME.headers, 0, 1, block(GET))
      else client.send(FRAME.continuation, 0, 1)
    },
  ],
  ['PING', (client: FrameClient) => client.send(FRAME.ping, 0, 0, Buffer.alloc(8))],
  ['SETTINGS', (client: FrameClient) => client.send(FRAME.settings, 0, 0)],
] as const satisfies readonly (readonly [string, (client: FrameClient, at: number) => void])[]) {
  test(`a flood of ${what} ends the connection`, async () => {
    await using app = await answering()
    await using front = await streaming(app)
    using client = new FrameClient(front.port)
    client.socket.pause() // the client reads none of the answers
    let at = 0
    for (; !client.closed && client.socket.writable && at < 3_000_000; at++) {
      flood(client, at)
      if (at % 1_000 === 0) await new Promise(resolve => setImmediate(resolve))
      if (at % 100_000 === 0 && front.exchanges.open === 0 && at > 0) break
    }
    client.socket.resume()
    await until(
      () => front.exchanges.open === 0,
      () => `still open after ${at} frames`,
    )
    assert.equal(front.exchanges.counters.requests, 0)
  })
}

// On a destroyed session most calls of node:http2 throw, and its socket closes only a moment later. An attack ended a daemon in this way.
test('a connection that has just been ended can be ended again, in each way', async () => {
  await using app = await silent()
  const thrown: unknown[] = []
  await using front = await streaming(
    app,
    {},
    {
      connections: { mostPerAddress: 100 },
      handler: async exchange => {
        const session = (exchange as Http2Exchange).session as Http2Connection
        session.cut()
        for (const again of [
          () => session.calm('127.0.0.1'),
          () => session.drain(),
          () => session.sweep(),
          () => session.cut(),
        ])
          try {
            again()
          } catch (error) {
            thrown.push(error)
          }
      },
    },
  )
  using client = new FrameClient(front.port)
  client.ask(1)
  await client.until(() => client.closed)
  assert.deepEqual(thrown, [])
})

test('a connection without a request is ended, pings or not; the client is told', async () => {
  await using app = await answering()
  await using front = await streaming(app, {}, { limits: { keepAliveMs: 2_000, headWithinMs: 5_000 } })
  using client = new FrameClient(front.port)
  client.ask(1)
  await client.until(() => client.endOf(1))
  await until(() => front.outcomes.length === 1)
  await front.clock.advance(1_500)
  client.ask(3)
  await client.until(() => client.endOf(3))
  await front.clock.advance(1_500)
  client.send(FRAME.ping, 0, 0, Buffer.alloc(8))
  await client.until(() => client.of(FRAME.ping).length === 1)
  assert.equal(client.goneWith, undefined)
  await front.clock.advance(1_000)
  await client.until(() => client.goneWith !== undefined && client.closed)
  assert.equal(client.goneWith, constants.NGHTTP2_NO_ERROR)
  assert.equal(front.exchanges.counters.idle, 1)
})

for (const [what, begin] of [
  ['nothing', () => undefined],
  ['half a head', (client: FrameClient) => client.send(FRAME.headers, 0, 1, block(GET))],
] as const) {
  test(`a new connection with ${what} is ended after as long as a head may take`, async () => {
    await using app = await answering()
    await using front = await streaming(app, {}, { limits: { headWithinMs: 2_000 } })
    using client = new FrameClient(front.port)
    await client.until(() => client.of(FRAME.settings).length > 0)
    begin(client)
    await front.clock.advance(1_500)
    assert.equal(client.closed, false)
    await front.clock.advance(4_000)
    await until(() => client.closed)
  })
}

test('a client that waits in silence is pinged; one that does not answer is cut, for nobody may be there', async () => {
  await using app = await silent()
  await using front = await streaming(app, {}, { pingEveryMs: 10_000 })
  using client = new FrameClient(front.port)
  client.ask(1)
  await until(() => front.exchanges.counters.requests === 1)
  const asked = (): Frame[] => client.of(FRAME.ping).filter(({ flags }) => flags !== ACK)
  await front.clock.advance(9_500)
  assert.equal(asked().length, 0)
  await front.clock.advance(1_000)
  await client.until(() => asked().length === 1)
  client.send(FRAME.ping, ACK, 0, asked()[0]?.payload)
  client.send(FRAME.ping, 0, 0, Buffer.alloc(8)) // the answer to this PING shows that ours was received
  await client.until(() => client.of(FRAME.ping).length === 2)
  await front.clock.advance(11_000)
  await client.until(() => asked().length === 2)
  await front.clock.advance(9_000)
  assert.equal(client.closed, false)
  await front.clock.advance(1_000)
  await until(() => client.closed && front.exchanges.open === 0 && app.sockets.size === 0)
  assert(isFailure(front.outcomes[0], 'client-gone'))
  assert.equal(front.exchanges.counters.unanswered, 1)
})

test('a drain says goodbye, lets streams end that have begun or are on their way, then ends', async () => {
  const waiting: (() => void)[] = []
  await using app = await httpApp((_request, response) => void waiting.push(() => response.end('late')))
  await using front = await streaming(app)
  using idle = new FrameClient(front.port)
  await idle.until(() => idle.of(FRAME.settings).length > 0)
  using client = new FrameClient(front.port)
  client.ask(1)
  await until(() => waiting.length === 1)
  front.exchanges.drain()
  client.ask(3) // sent before the client can have received the GOAWAY
  await client.until(() => client.of(FRAME.goaway).length > 0 && client.of(FRAME.ping).length > 0)
  assert.equal(client.of(FRAME.goaway)[0]?.payload.readUInt32BE(0), 2 ** 31 - 1)
  await until(() => waiting.length === 2 && idle.closed)
  client.send(FRAME.ping, 1, 0, client.of(FRAME.ping)[0]?.payload)
  await client.until(() => client.of(FRAME.goaway).length === 2)
  for (const answer of waiting) answer()
  await client.until(() => client.text(1) === 'late' && client.text(3) === 'late' && client.closed)
  assert.deepEqual([client.endOf(1), client.endOf(3)], [true, true])
  await until(() => front.exchanges.open === 0)
})

test('a client that does not hear of the end is ended all the same', async () => {
  await using app = await answering()
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  client.ask(1)
  await client.until(() => client.endOf(1))
  client.ask(3, POST, true)
  await until(() => front.exchanges.counters.requests === 2)
  front.exchanges.drain()
  client.send(FRAME.reset, 0, 3, Buffer.from([0, 0, 0, 8]))
  await until(() => front.outcomes.length === 2)
  await front.clock.advance(3_000)
  await until(() => front.exchanges.open === 0)
})

test('a connection serves so many requests, then says goodbye', async () => {
  await using app = await answering()
  await using front = await streaming(app, {}, { limits: { requestsPerConnection: 3 } })
  using client = front.client()
  for (let request = 1; request <= 3; request++) assert.equal((await client.ask({})).body, 'ok')
  await until(() => client.session.closed)
  assert.equal(front.exchanges.counters.servedMost, 1)
})

test('what one stream suffers is not the others’ matter', async () => {
  await using app = await httpApp((request, response) => {
    if (request.url === '/die') return request.socket.destroy()
    response.end('ok')
  })
  await using front = await streaming(app)
  using client = front.client()
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, at) => answerTo(client.request({ ':path': at % 4 === 0 ? '/die' : '/' }))),
  )
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map((_, at) => (at % 4 === 0 ? 500 : 200)),
  )
})
