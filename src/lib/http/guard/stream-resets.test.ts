import assert from 'node:assert/strict'
import { constants } from 'node:http2'
import { test } from 'vitest'
import { streaming } from '../../../testing/h2-forwarding.ts'
import { block, END_HEADERS, END_STREAM, FRAME, FrameClient, frame, GET } from '../../../testing/h2-wire.ts'
import { httpApp, until } from '../../../testing/wire.ts'

const CANCEL = Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL])
const STREAMS = 200

/** Streams that are opened and reset in one write, before they can be answered. */
const resets = (count: number): Buffer =>
  Buffer.concat(
    Array.from({ length: count }, (_, at) => [
      frame(FRAME.headers, END_HEADERS | END_STREAM, 2 * at + 1, block(GET)),
      frame(FRAME.reset, 0, 2 * at + 1, CANCEL),
    ]).flat(),
  )

test('connections that are opened for streams which are reset meanwhile are few, stay open, and serve the next', async () => {
  let accepted = 0
  await using app = await httpApp(
    (_request, response) => response.end('ok'),
    server => server.on('connection', () => accepted++),
  )
  await using front = await streaming(app)
  const { counters } = front.exchanges
  using client = new FrameClient(front.port)
  client.socket.write(resets(STREAMS))
  await until(() => front.outcomes.length === STREAMS)
  assert(counters.upstreamConnects <= 64, `${counters.upstreamConnects} connections were opened for nobody`)
  await until(() => accepted === counters.upstreamConnects)
  using other = front.client()
  assert.equal((await other.ask({ ':path': '/' })).status, 200)
  assert.equal(app.sockets.size, accepted, 'what was opened stays open')
  assert.equal(counters.upstreamReuses, 1)
})

test('one address may reset so many streams, by however many connections', async () => {
  await using app = await httpApp(() => undefined)
  await using front = await streaming(app)
  const ended: FrameClient[] = []
  for (let connections = 0; connections < 10; connections++) {
    const client = new FrameClient(front.port)
    client.socket.write(resets(STREAMS))
    await until(() => client.closed || front.outcomes.length === front.exchanges.counters.requests)
    await client.until(() => client.closed || client.frames.length > 0)
    if (client.closed || client.goneWith === constants.NGHTTP2_ENHANCE_YOUR_CALM) ended.push(client)
    client[Symbol.dispose]()
  }
  const { counters } = front.exchanges
  assert(counters.resets <= 1_000 + 10, `${counters.resets} resets were borne`)
  assert(counters.refusedResets >= 5, `${counters.refusedResets} connections were ended`)
})
