import { constants } from 'node:http2'
import { test } from 'vitest'
import { Chance } from '../../../../testing/fuzz/chance.ts'
import { streaming } from '../../../../testing/h2-forwarding.ts'
import { block, END_HEADERS, END_STREAM, FRAME, FrameClient, frame, GET, POST } from '../../../../testing/h2-wire.ts'
import { httpApp, until } from '../../../../testing/wire.ts'
import { Buckets } from '../../../shared/buckets.ts'

const CONNECTIONS = 6
const WRITES = 20
const ROUNDS = 40

/** An app whose answer depends on the target: at once, large, never, half of one, or a closed connection. */
const app = () =>
  httpApp((request, response) => {
    request.on('error', () => undefined).resume()
    response.on('error', () => undefined)
    if (request.url === '/large') response.end(Buffer.alloc(300_000))
    else if (request.url === '/half') {
      response.write('half')
      setImmediate(() => response.destroy())
    } else if (request.url === '/dies') response.destroy()
    else if (request.url !== '/never') response.end('ok')
  })

/** Valid and forbidden frames (RFC 9113, 6) in random order, on streams that are open, closed or were never opened. */
function frames(chance: Chance): Buffer {
  const made: Buffer[] = []
  for (let more = chance.one([1, 3, 30, 300]); more > 0; more--) {
    const stream = chance.maybe(0.05) ? chance.below(100) : 2 * chance.below(200) + 1
    const noise = Buffer.from(Array.from({ length: chance.below(20) }, () => chance.below(256)))
    const path = [':path', chance.one(['/', '/large', '/half', '/dies', '/never'])] as const
    const fields = chance.one([GET, POST]).map(field => (field[0] === ':path' ? path : field))
    const code = Buffer.from([0, 0, 0, chance.below(16)])
    made.push(
      chance.one([
        frame(FRAME.headers, END_HEADERS | END_STREAM, stream, block(fields)),
        frame(FRAME.headers, END_HEADERS | END_STREAM, stream, block(fields)),
        frame(FRAME.headers, END_HEADERS, stream, block(fields)),
        frame(FRAME.data, chance.one([0, END_STREAM]), stream, noise),
        frame(FRAME.reset, 0, stream, code),
        frame(FRAME.reset, 0, stream, code),
        frame(FRAME.window, 0, chance.one([0, stream]), Buffer.from([0, 0, chance.below(256), chance.below(256)])),
        frame(FRAME.ping, chance.one([0, 1]), 0, Buffer.alloc(8)),
        ...(chance.maybe(0.02)
          ? [
              frame(FRAME.goaway, 0, 0, Buffer.concat([Buffer.alloc(4), code])),
              frame(FRAME.settings, 0, 0, Buffer.from([0, chance.below(8), 0, 0, 0, chance.below(256)])),
              frame(chance.below(12), chance.below(256), chance.one([0, stream]), noise),
              noise,
            ]
          : []),
      ]),
    )
  }
  return Buffer.concat(made)
}

// An uncaught exception would end a daemon. Here it fails the test run.
test('whatever frames clients send, and whenever they leave, all is given back and the next is served', async () => {
  await using upstream = await app()
  const first = (1 + Math.random() * 2 ** 31) | 0
  for (let seed = first; seed < first + ROUNDS; seed++) {
    const chance = new Chance(seed)
    const resets = new Buckets()
    await using front = await streaming(upstream, {}, { connections: { mostPerAddress: chance.one([8, 100]) }, resets })
    // A client with few resets left is soon shut out.
    const taken = chance.one([0, 960, 990])
    for (let left = 0; left < taken; left++)
      resets.take('127.0.0.1', { perSecond: 100, burst: 1_000 }, front.clock.now())
    const clients = Array.from({ length: CONNECTIONS }, () => new FrameClient(front.port))
    for (let writes = 0; writes < WRITES; writes++) {
      const client = clients[chance.below(CONNECTIONS)]
      if (client?.socket.writable) client.socket.write(frames(chance))
      if (chance.maybe(0.05)) client?.[Symbol.dispose]()
      if (chance.maybe(0.5)) await new Promise(resolve => setImmediate(resolve))
      if (chance.maybe(0.02)) front.exchanges.drain()
    }
    for (const client of clients) client[Symbol.dispose]()
    // node:http2 may miss a reset while it writes. Such a connection is pinged, and ended because nobody answers.
    for (let minutes = 0; minutes < 3; minutes++) {
      await new Promise(resolve => setImmediate(resolve))
      await front.clock.advance(60_000)
    }
    await until(
      () => front.exchanges.open === 0 && front.exchanges.counted.open === 0,
      () => `seed ${seed}: ${front.exchanges.open} connections are open`,
    )
    await until(
      () => front.outcomes.length === front.exchanges.counters.requests,
      () => `seed ${seed}: ${front.outcomes.length} of ${front.exchanges.counters.requests} requests have ended`,
    )
    using next = new FrameClient(front.port)
    next.ask(1)
    await until(
      () => next.endOf(1) || next.goneWith === constants.NGHTTP2_NO_ERROR, // after a drain
      () => `seed ${seed}: ${next.frames.map(({ type }) => type)}`,
    )
  }
})
