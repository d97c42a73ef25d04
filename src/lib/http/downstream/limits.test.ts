import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as dial, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { test } from 'vitest'
import { HandClock } from '../../../testing/clock.ts'
import { httpApp, open, RawClient, rawApp, until } from '../../../testing/wire.ts'
import { noLog } from '../../log.ts'
import type { Counters } from '../counters.ts'
import type { Limits } from '../guard/limits.ts'
import { UpstreamError } from '../next-hop.ts'
import { ExchangeServer, type ExchangeServerOptions, netServer } from './exchange-server.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const MB = 1_048_576

async function serving(address: string, limits: Partial<Limits>, options: Partial<ExchangeServerOptions> = {}) {
  const clock = new HandClock()
  const outcomes: unknown[] = []
  const exchanges = new ExchangeServer({
    log: noLog,
    clock,
    limits,
    ...options,
    handler: exchange =>
      exchange.target === '/own'
        ? Promise.resolve(exchange.answer({ status: 200, headers: { 'content-length': '3' }, body: 'own' }))
        : exchange.forward({ address, forwarded: 'replace' }).catch(error => {
            outcomes.push(error)
            throw error
          }),
  })
  const opened = await open(netServer(exchanges))
  return {
    ...opened,
    clock,
    outcomes,
    counters: exchanges.counters,
    /** Moves the clock while the sockets get their turns, until `enough` is true or `ms` has passed. */
    async pass(ms: number, step: () => unknown = () => undefined, enough: () => boolean = () => false): Promise<void> {
      for (let left = ms; left > 0 && !enough(); left -= 500) {
        await step()
        await new Promise(resolve => setImmediate(resolve))
        await clock.advance(500)
      }
    },
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]()
      exchanges[Symbol.dispose]()
    },
  }
}

const echo = () =>
  httpApp((request, response) => {
    let length = 0
    request.on('data', chunk => {
      length += chunk.length
    })
    request.on('end', () => response.end(`<${length}>`))
  })
const swallowing = () => httpApp(request => void request.resume().on('error', () => undefined))

// The same limits apply after a connection has served a request, even one of HTTP/1.0.
const paths = {
  'the first request': async (port: number) => new RawClient(port),
  'behind one of HTTP/1.0': async (port: number) => {
    const client = new RawClient(port, 'GET /own HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    await client.until('own')
    client.text = ''
    return client
  },
}

const refusals: [what: string, limits: Partial<Limits>, send: string, status: number, counter: keyof Counters][] = [
  [
    'a large head',
    { headBytes: 4_096 },
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(5_000)}\r\n\r\n`,
    431,
    'headsSize',
  ],
  ['many fields', { headers: 16 }, `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(16)}\r\n`, 431, 'headsFields'],
  ['a long target', { lineBytes: 1_024 }, `GET /${'x'.repeat(1_024)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414, 'headsTarget'],
  ['a head that is none', {}, 'GET / HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n', 400, 'headsMalformed'],
  [
    'a large body',
    { bodyBytes: 1_000 },
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n',
    413,
    'bodiesTooLarge',
  ],
  [
    'a large chunked body',
    { bodyBytes: 1_000 },
    `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n${'x'.repeat(2_048)}\r\n0\r\n\r\n`,
    413,
    'bodiesTooLarge',
  ],
]

for (const [path, connect] of Object.entries(paths)) {
  for (const [what, limits, send, status, counter] of refusals) {
    test(`${path}: ${what} is answered ${status} and counted, and the connection ends`, async () => {
      await using app = await swallowing()
      await using front = await serving(app.address, limits)
      using client = await connect(front.port)
      client.send(send)
      await client.until(new RegExp(`^HTTP/1\\.1 ${status} [^]*\\r\\nconnection: close\\r\\n`, 'i'))
      assert.equal(front.counters[counter], 1)
      client.send(GET)
      client.socket.end()
      assert.equal((await client.closed()).match(/HTTP\/1\.1/g)?.length, 1)
    })
  }

  test(`${path}: what is just within the limits is served`, async () => {
    await using app = await echo()
    await using front = await serving(app.address, {
      headBytes: 4_096,
      headers: 16,
      lineBytes: 1_024,
      bodyBytes: 1_000,
    })
    using client = await connect(front.port)
    client.send(
      `POST /${'x'.repeat(1_018)} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nX: ${'x'.repeat(2_900)}\r\n${'Y: z\r\n'.repeat(13)}\r\n${'x'.repeat(1_000)}`,
    )
    await client.until('<1000>')
  })

  test(`${path}: a head that drips is answered 408 when its time is over, not before, however long it was idle`, async () => {
    await using app = await echo()
    await using front = await serving(app.address, { headWithinMs: 3_000, keepAliveMs: 20_000 })
    using client = await connect(front.port)
    client.send(GET)
    await client.until('<0>')
    client.text = ''
    await front.pass(10_000)
    client.send('GET / HTTP/1.1\r\nX: ')
    await front.pass(2_000, () => client.send('x'))
    assert.equal(client.text, '')
    await front.pass(2_500, () => client.ended || client.send('x'))
    assert.match(await client.closed(), /^HTTP\/1\.1 408 [\s\S]*"code":"too-slow"/)
    assert.equal(front.counters.lateHeads, 1)
  })

  test(`${path}: a connection without a request is closed after its time`, async () => {
    await using app = await echo()
    await using front = await serving(app.address, { keepAliveMs: 5_000 })
    using client = await connect(front.port)
    client.send(GET)
    await client.until('<0>')
    await front.pass(4_000)
    assert.equal(client.ended, false)
    await front.pass(2_000)
    await client.closed()
    assert.equal(front.counters.idle, 1)
  })

  test(`${path}: the last request that a connection may serve is answered with Connection: close`, async () => {
    await using app = await echo()
    await using front = await serving(app.address, { requestsPerConnection: 3 })
    using client = await connect(front.port)
    client.send(GET.repeat(3))
    const answers = (await client.closed()).split('HTTP/1.1 200 OK').slice(1)
    assert.equal(answers.length, path === 'the first request' ? 3 : 2)
    assert.deepEqual(
      answers.map(answer => /connection: close/i.test(answer)),
      answers.map((_, index) => index === answers.length - 1),
    )
    assert.equal(front.counters.servedMost, 1)
  })

  test(`${path}: so is a last request with a body that is answered early, and what still comes of it is borne`, async () => {
    await using app = await rawApp(socket =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly')),
    )
    await using front = await serving(app.address, { requestsPerConnection: 2 })
    using client = await connect(front.port)
    if (path === 'the first request') {
      client.send('GET /own HTTP/1.1\r\nHost: a\r\n\r\n')
      await client.until('own')
      client.text = ''
    }
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${4 * MB}\r\n\r\n`)
    await client.until('early')
    assert.match(client.text, /\r\nconnection: close\r\n/i)
    await client.closed() // the front has ended its side
    client.send('x'.repeat(4 * MB))
    await until(() => client.socket.writableLength === 0)
    client.socket.end()
    await until(() => client.socket.closed)
    assert.equal(client.error, undefined)
  })

  test(`${path}: who goes on for too long after an early answer is cut`, async () => {
    await using app = await rawApp(socket =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly')),
    )
    await using front = await serving(app.address, { lingerMs: 3_000 })
    using client = await connect(front.port)
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n')
    await client.until('early')
    await front.pass(2_000, () => client.send('x'))
    assert.equal(front.sockets.size, 1)
    await front.pass(2_000, () => client.send('x'))
    await until(() => front.sockets.size === 0)
  })

  test(`${path}: the limit of a body is one of its content, however it is cut into chunks`, async () => {
    await using app = await echo()
    await using front = await serving(app.address, { bodyBytes: 1_000 })
    using client = await connect(front.port)
    const chunked = (bytes: number): string =>
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(bytes)}0\r\n\r\n`
    client.send(chunked(1_000))
    await client.until('<1000>')
    client.text = ''
    client.send(chunked(1_001))
    await client.until('HTTP/1.1 413 ')
    assert.equal(front.counters.bodiesTooLarge, 1)
  })

  const pace = { leastBytesPerSecond: 100, rateOverMs: 2_000, lingerMs: 1_000 }
  const UPLOAD = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n'

  test(`${path}: a body that comes too slowly is answered 408, one that is fast enough is not`, async () => {
    await using app = await swallowing()
    await using front = await serving(app.address, pace)
    using slow = await connect(front.port)
    using fast = await connect(front.port)
    slow.send(UPLOAD)
    fast.send(UPLOAD)
    await until(() => app.sockets.size === 2)
    const sockets = [...front.sockets]
    const drip = async (): Promise<void> => {
      slow.send('x'.repeat(10))
      fast.send('x'.repeat(100))
      const read = (): number => sockets.reduce((sum, socket) => sum + socket.bytesRead, 0)
      await until(() => read() === slow.socket.bytesWritten + fast.socket.bytesWritten || slow.text !== '')
    }
    await front.pass(8_000, drip, () => slow.text !== '')
    assert.match(await slow.until('}\n'), /^HTTP\/1\.1 408 [\s\S]*connection: close[\s\S]*"code":"too-slow"/i)
    assert.equal(fast.text, '')
    assert.equal(fast.ended, false)
    assert.equal(front.counters.slowBodies, 1)
  })

  test(`${path}: a body that comes too slowly behind the beginning of its answer cuts the connection`, async () => {
    await using app = await rawApp(socket =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nso far')),
    )
    await using front = await serving(app.address, pace)
    using client = await connect(front.port)
    client.send(UPLOAD)
    await client.until('so far')
    await front.pass(8_000, undefined, () => client.ended || client.socket.closed)
    assert.doesNotMatch(await client.closed(), /408/)
    assert.equal(front.counters.slowBodies, 1)
  })

  test(`${path}: a client that takes its answer too slowly is cut`, async () => {
    await using app = await httpApp((_request, response) => {
      response.on('error', () => undefined).writeHead(200, { 'content-length': 60 * MB })
      response.end(Buffer.alloc(60 * MB))
    })
    await using front = await serving(app.address, pace)
    using client = await connect(front.port)
    client.send(GET)
    await client.until('200 OK')
    client.socket.pause()
    await until(() => [...front.sockets].some(socket => socket.writableLength > 0))
    await front.pass(8_000, undefined, () => front.sockets.size === 0)
    await until(() => front.sockets.size === 0)
    assert.equal(front.counters.slowReaders, 1)
  })

  test(`${path}: a WebSocket that answers no ping, or takes no byte, is cut and counted`, async () => {
    const ends: Socket[] = []
    await using app = await rawApp(socket => {
      ends.push(socket.resume())
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    })
    await using front = await serving(app.address, { stalledAfterMs: 20_000 }, { pingEveryMs: 2_000 })
    const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
    using silent = await connect(front.port)
    silent.send(upgrade)
    await silent.until(' 101 ')
    await front.pass(10_000, undefined, () => front.sockets.size === 0)
    assert.equal(front.counters.lateSwitched, 1)
    using full = await connect(front.port)
    full.send(upgrade)
    await full.until(' 101 ')
    full.socket.pause()
    ends[1]?.write(Buffer.alloc(60 * MB, 0))
    // Until all buffers between the app and the client are full.
    for (let still = 0, last = -1; still < 50; still += 1) {
      const passed = [...front.sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0)
      if (passed !== last || passed < 65_536) still = 0
      last = passed
      await new Promise(resolve => setTimeout(resolve, 1))
    }
    await front.pass(
      60_000,
      () => full.socket.writable && full.send('\x8a\x80abcd'),
      () => front.sockets.size === 0,
    )
    await until(() => front.sockets.size === 0)
    assert.deepEqual([front.counters.lateSwitched, front.counters.webSocketsOpen], [2, 0])
  })

  test(`${path}: bytes are counted, of connections that are open and that were`, async () => {
    await using app = await echo()
    await using front = await serving(app.address, {})
    using client = await connect(front.port)
    client.send(GET)
    await client.until('<0>')
    client.socket.destroy()
    await until(() => front.counters.bytesOut > 0)
    assert.equal(front.counters.bytesOut >= client.text.length, true)
    assert.equal(front.counters.bytesIn >= GET.length, true)
  })

  test(`${path}: connections to upstreams are counted, with their reuse and failure`, async () => {
    await using app = await echo()
    const front = await serving(app.address, {})
    await using _front = front
    using client = await connect(front.port)
    for (const _round of [1, 2]) {
      client.text = ''
      client.send(GET)
      await client.until('<0>')
    }
    assert.deepEqual([front.counters.upstreamConnects, front.counters.upstreamReuses], [1, 1])
    await app[Symbol.asyncDispose]()
    client.text = ''
    client.send(GET)
    await client.until('500 ')
    assert(front.counters.failedConnect > 0)
  })

  test(`${path}: an upstream that accepts no connection is given up after its time`, async () => {
    await using app = await writeFailed()
    await using front = await serving(app.address, {}, { connectWithinMs: 2_000 })
    using client = await connect(front.port)
    client.send(GET)
    await until(() => front.counters.upstreamConnects === 1)
    await front.pass(1_500)
    assert.equal(front.outcomes.length, 0)
    await front.pass(1_500)
    await client.until('500 ')
    assert(front.outcomes[0] instanceof UpstreamError)
    assert.equal(front.outcomes[0].stage, 'connect')
    assert.deepEqual([front.counters.lateConnects, front.counters.failedConnect], [1, 1])
  })
}

/** A port whose queue of connections is full, because nobody accepts them. */
async function writeFailed() {
  const code = `
    const { parentPort } = require('node:worker_threads')
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port)
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
    })`
  const worker = new Worker(code, { eval: true })
  const [port] = (await once(worker, 'message')) as [number]
  const queued: Socket[] = []
  const isFull = async (): Promise<boolean> => {
    const socket = dial(port, '127.0.0.1').on('error', () => undefined)
    queued.push(socket)
    return Promise.race([
      once(socket, 'connect').then(() => false),
      new Promise<true>(resolve => setTimeout(() => resolve(true), 100)),
    ])
  }
  while (!(await isFull()));
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of queued) socket.destroy()
      await worker.terminate()
    },
  }
}
