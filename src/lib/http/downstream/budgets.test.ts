import assert from 'node:assert/strict'
import { test } from 'vitest'
import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { streaming } from '../../../testing/h2-forwarding.ts'
import { httpApp, RawClient, rawApp, until } from '../../../testing/wire.ts'
import { Gauges, gaugesMemory } from '../../shared/gauges.ts'
import { UpstreamError } from '../next-hop.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const silent = () => rawApp(socket => socket.resume())

test('clients and upstreams share one budget of sockets: beyond it a request is 503, and what is idle makes room', async () => {
  await using app = await silent()
  const gauge = new Gauges(gaugesMemory({ slots: 1 })).of('')
  await using front = await fastForwarding({ sockets: { most: 10, gauge } })(app)
  const clients = Array.from({ length: 5 }, () => new RawClient(front.port, GET))
  await until(() => app.sockets.size === 5)
  assert.equal(gauge.used, 10)
  using late = new RawClient(front.port, GET)
  await late.until('HTTP/1.1 503 ')
  assert.match(late.text, /connections-full/)
  clients.pop()?.socket.resetAndDestroy()
  await until(() => app.sockets.size === 4 && gauge.used === 8)
  using idle = new RawClient(front.port)
  await until(() => gauge.used === 9)
  using next = new RawClient(front.port, GET)
  await until(() => app.sockets.size === 5)
  await idle.closed()
  await until(() => gauge.used === 10)
  for (const client of [...clients, next]) client.socket.resetAndDestroy()
  await until(
    () => gauge.used === 0,
    () => `${gauge.used} are counted though all are closed`,
  )
})

test('an upgrade counts for the budget, too', async () => {
  await using app = await silent()
  const gauge = new Gauges(gaugesMemory({ slots: 1 })).of('')
  await using front = await fastForwarding({ sockets: { most: 3, gauge } })(app)
  const upgrade = GET.replace(/\r\n$/, 'Connection: upgrade\r\nUpgrade: websocket\r\n\r\n')
  using first = new RawClient(front.port, upgrade)
  await until(() => app.sockets.size === 1)
  using second = new RawClient(front.port, upgrade)
  await second.until('HTTP/1.1 503 ')
  first.socket.resetAndDestroy()
  second.socket.resetAndDestroy()
  await until(() => gauge.used === 0)
})

test('requests by HTTP/2 count for the address, by however many connections: beyond, 429', async () => {
  await using app = await httpApp(() => undefined)
  await using front = await streaming(app, {}, { connections: { mostPerAddress: 10 } })
  const clients = [front.client(), front.client()]
  const streams = clients.flatMap(client => Array.from({ length: 5 }, () => client.request({ ':path': '/' })))
  for (const stream of streams) stream.on('error', () => undefined)
  await until(() => front.exchanges.counters.requests === 10)
  assert.equal((await clients[0]?.ask({ ':path': '/' }))?.status, 429)
  assert.equal(front.exchanges.counters.refusedStreams, 1)
  await until(() => app.sockets.size === 10)
  streams[0]?.close()
  await until(() => app.sockets.size === 9)
  const again = clients[1]?.request({ ':path': '/' }).on('error', () => undefined)
  await until(() => app.sockets.size === 10)
  again?.close()
  for (const client of clients) client[Symbol.dispose]()
})

const paths = { 'HTTP/1.1': fastForwarding(), 'HTTP/2': streaming } as const

for (const [name, forwarder] of Object.entries(paths)) {
  test(`an app that does not begin its answer in time is given up, on ${name}; one that has begun is not`, async () => {
    const ends: (() => void)[] = []
    await using app = await httpApp((request, response) => {
      if (request.url !== '/stream') return
      response.write('begun')
      ends.push(() => response.end())
    })
    await using front = await forwarder(app, { answerWithinMs: 10_000 })
    const ask = async (path: string): Promise<{ text: () => string } & Disposable> => {
      if (name !== 'HTTP/2') {
        const client = new RawClient(front.port, GET.replace('/', path))
        return { text: () => client.text, [Symbol.dispose]: () => client[Symbol.dispose]() }
      }
      const client = (front as Awaited<ReturnType<typeof streaming>>).client()
      let text = ''
      client
        .request({ ':path': path })
        .on('error', () => undefined)
        .on('data', chunk => {
          text += chunk
        })
      return { text: () => text, [Symbol.dispose]: () => client[Symbol.dispose]() }
    }
    using streamed = await ask('/stream')
    await until(() => streamed.text().includes('begun'))
    using hung = await ask('/hangs')
    await until(() => app.sockets.size === 2)
    await front.clock.advance(5_000)
    assert.equal(front.outcomes.length, 0)
    await front.clock.advance(6_000)
    await until(() => front.outcomes.length === 1)
    const [late] = front.outcomes
    assert(late instanceof UpstreamError && late.isLate && late.sent, String(late))
    assert.equal(app.sockets.size >= 1, true)
    for (const end of ends) end()
    await until(() => front.outcomes.length === 2)
    assert.equal(front.outcomes[1], 'done')
    assert.doesNotMatch(hung.text(), /200 OK|begun/)
  })
}

test('an upload may take longer than the answer may', async () => {
  await using app = await httpApp((request, response) => request.resume().on('end', () => response.end('ok')))
  await using front = await fastForwarding()(app, { answerWithinMs: 10_000 })
  using client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab')
  await until(() => app.sockets.size === 1)
  await front.clock.advance(30_000)
  client.send('cd')
  await client.until('200 OK')
})
