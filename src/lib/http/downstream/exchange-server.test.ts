import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'vitest'
import { HandClock } from '../../../testing/clock.ts'
import { httpApp, open, RawClient, rawApp, until } from '../../../testing/wire.ts'
import { isFailure } from '../../errors.ts'
import { noLog } from '../../log.ts'
import type { Exchange, RequestHandler } from '../exchange.ts'
import { UpstreamError } from '../next-hop.ts'
import { ExchangeServer, type ExchangeServerOptions, netServer } from './exchange-server.ts'

async function serving(handler: RequestHandler, options: Partial<ExchangeServerOptions> = {}) {
  const clock = new HandClock()
  const exchanges = new ExchangeServer({ log: noLog, clock, ...options, handler })
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

const echo = () =>
  httpApp((request, response) => {
    let body = ''
    request.setEncoding('latin1').on('data', chunk => {
      body += chunk
    })
    request.on('end', () => response.end(`<${request.method} ${request.url} ${body.length}>`))
  })

const to = (address: string) => ({ address, forwarded: 'replace' }) as const
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** A request handler that holds each exchange until the test lets it go on. */
function gate() {
  const held: { exchange: Exchange; go: () => void }[] = []
  const wait = (exchange: Exchange): Promise<void> => new Promise(go => held.push({ exchange, go }))
  return { held, wait }
}

test('a request that is held is forwarded whole later; meanwhile its body is not read on', async () => {
  await using app = await echo()
  const { held, wait } = gate()
  await using front = await serving(async exchange => {
    await wait(exchange)
    await exchange.forward(to(app.address))
  })
  const length = 30_000_000
  using client = new RawClient(front.port, `POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`)
  client.send('x'.repeat(length))
  await until(() => held.length === 1)
  let left = -1
  for (let still = 0; still < 100; still += 1) {
    if (client.socket.writableLength !== left) still = 0
    left = client.socket.writableLength
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  assert(left > length / 2, `only ${left} bytes were kept back`)
  held[0]?.go()
  await client.until(`<POST /up ${length}>`)
})

test('a client that leaves while its request is held is told of by the signal, and nothing is forwarded', async () => {
  await using app = await echo()
  const { held, wait } = gate()
  const thrown: unknown[] = []
  await using front = await serving(async exchange => {
    exchange.signal.addEventListener('abort', () => held[0]?.go())
    await wait(exchange)
    await exchange.forward(to(app.address)).catch(error => thrown.push(error))
  })
  const client = new RawClient(front.port, GET)
  await until(() => held.length === 1)
  client.socket.destroy()
  await until(() => {
    void front.clock.advance(500) // after a FIN alone, the client may still wait for its answer
    return thrown.length === 1
  })
  assert(isFailure(thrown[0], 'client-gone'))
  assert.equal(app.sockets.size, 0)
})

test('what one upstream did not take is forwarded to another, with its body', async () => {
  await using app = await echo()
  const gone = await rawApp(() => undefined)
  await gone[Symbol.asyncDispose]()
  const first: unknown[] = []
  await using front = await serving(async exchange => {
    await exchange.forward({ ...to(gone.address), expect: 'ask' }).catch(error => first.push(error))
    await exchange.forward(to(app.address))
  })
  using client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  await client.until('<POST / 3>')
  assert(first[0] instanceof UpstreamError)
  assert.deepEqual([first[0].stage, first[0].sent], ['connect', false])
})

test('requests that come ahead of their turn are read so far and no further', async () => {
  const { held, wait } = gate()
  await using front = await serving(async exchange => {
    await wait(exchange)
    exchange.answer({ status: 200, body: 'x' })
  })
  using client = new RawClient(front.port)
  const many = 400_000
  client.send(GET.repeat(many))
  await until(() => held.length === 1)
  let left = -1
  for (let still = 0; still < 100; still += 1) {
    if (client.socket.writableLength !== left) still = 0
    left = client.socket.writableLength
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  assert(left > 0, 'all of it was read')
})

test('three requests and a half in one packet are answered in order, the half when it is whole', async () => {
  await using app = await echo()
  await using front = await serving(exchange => exchange.forward(to(app.address)))
  using client = new RawClient(
    front.port,
    'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\nPOST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /4 HT',
  )
  await client.until('<POST /3 2>')
  client.send('TP/1.1\r\nHost: a\r\n\r\n')
  const all = await client.until('<GET /4 0>')
  assert.match(all, /<POST \/1 3>[\s\S]*<GET \/2 0>[\s\S]*<POST \/3 2>[\s\S]*<GET \/4 0>/)
})

test('requests and answers byte by byte are the same as whole ones', async () => {
  const answer =
    'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-T: v\r\n\r\n'
  let seen = ''
  await using app = await rawApp(socket => {
    socket.setNoDelay().setEncoding('latin1')
    socket.on('data', async chunk => {
      seen += String(chunk)
      if (!seen.endsWith('0\r\n\r\n')) return
      for (const byte of answer) await new Promise(resolve => socket.write(byte, resolve))
    })
  })
  await using front = await serving(exchange => exchange.forward({ address: app.address, forwarded: 'keep' }))
  using client = new RawClient(front.port)
  client.socket.setNoDelay()
  const request = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;q="\\""\r\nabc\r\n0\r\n\r\n'
  for (const byte of request) await new Promise(resolve => client.socket.write(byte, resolve))
  await client.until('X-T: v\r\n\r\n')
  assert.equal(client.text, answer.replace(';x=y', ''))
  assert.equal(seen, request.replace(';q="\\""', ''))
})

test('a head that drips for too long is answered 408, and no app hears of it', async () => {
  await using front = await serving(async () => assert.fail('served'), { limits: { headWithinMs: 2_000 } })
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nX: ')
  await until(() => front.sockets.size === 1)
  for (let step = 0; step < 6 && !client.ended; step += 1) {
    client.send('x')
    await front.clock.advance(500)
    await new Promise(resolve => setImmediate(resolve))
  }
  assert.match(await client.closed(), /^HTTP\/1\.1 408 /)
})

test('a connection without a request is closed after its time, one with a request is not', async () => {
  const { held, wait } = gate()
  await using front = await serving(wait, { limits: { keepAliveMs: 5_000 } })
  using idle = new RawClient(front.port)
  using busy = new RawClient(front.port, GET)
  await until(() => held.length === 1 && front.sockets.size === 2)
  for (let left = 0; left < 12; left += 1) await front.clock.advance(500)
  await idle.closed()
  assert.equal(busy.ended, false)
})

test('an upload slower than the least rate is cut, a faster one is not', async () => {
  await using app = await httpApp(request => void request.resume().on('error', () => undefined))
  const outcomes: unknown[] = []
  await using front = await serving(
    exchange => exchange.forward(to(app.address)).catch(error => void outcomes.push(error)),
    {
      limits: { leastBytesPerSecond: 100, rateOverMs: 2_000 },
    },
  )
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n'
  using slow = new RawClient(front.port, head)
  using fast = new RawClient(front.port, head)
  await until(() => app.sockets.size === 2)
  for (let step = 0; step < 12; step += 1) {
    slow.send('x'.repeat(10))
    fast.send('x'.repeat(100))
    await new Promise(resolve => setTimeout(resolve, 5))
    await front.clock.advance(500)
  }
  await slow.closed()
  assert.equal(fast.ended, false)
  assert(isFailure(outcomes[0], 'too-slow'))
  assert.equal(front.exchanges.counters.slowBodies, 1)
})

test('a transfer coding in another spelling is passed on in the usual one', async () => {
  let seen = ''
  await using app = await rawApp(socket =>
    socket.setEncoding('latin1').on('data', chunk => {
      seen += chunk
      if (seen.endsWith('0\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone')
    }),
  )
  await using front = await serving(exchange => exchange.forward(to(app.address)))
  const body = '3\r\nabc\r\n0\r\n\r\n'
  using client = new RawClient(front.port, `POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:CHUNKED\r\n\r\n${body}`)
  await client.until('done')
  assert.deepEqual(seen.match(/transfer-encoding.*/gi), ['Transfer-Encoding: chunked'])
  assert(seen.endsWith(`\r\n\r\n${body}`))
})

test('an answer that streams goes on while the body of the request comes', async () => {
  await using front = await serving(async exchange => {
    const { request, response } = await exchange.open()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for await (const chunk of request) response.write(`data: ${chunk}\n\n`)
    response.end('data: end\n\n')
  })
  using client = new RawClient(
    front.port,
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n',
  )
  await client.until('data: one')
  client.send('3\r\ntwo\r\n0\r\n\r\n')
  assert.match(await client.until('data: end'), /data: two/)
})

test('answers of our own: to HEAD without a body, and the connection serves the next', async () => {
  await using front = await serving(async exchange => {
    exchange.ownHeaders['x-node'] = 'one'
    exchange.answer({ status: 404, headers: { 'content-type': 'text/plain' }, body: `no ${exchange.target}` })
  })
  using client = new RawClient(front.port, `HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\n${GET}`)
  assert.match(
    await client.until('no /'),
    /^HTTP\/1\.1 404 Not Found\r\nDate: [^\r]*\r\nx-node: one\r\ncontent-type: text\/plain\r\nContent-Length: 5\r\n\r\nHTTP\/1\.1 404 /,
  )
})

test('an answer of our own to an upload ends the connection, and the client hears it though it goes on sending', async () => {
  await using front = await serving(async exchange => exchange.answer({ status: 413, body: 'too large' }))
  using client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n')
  client.send('x'.repeat(5_000_000))
  assert.match(await client.closed(), /Connection: close\r\n\r\ntoo large$/)
})

test('a handler that fails or forgets to answer is a problem document', async () => {
  await using front = await serving(async exchange => {
    if (exchange.target === '/fails') throw new Error('boom')
  })
  for (const path of ['/fails', '/forgets']) {
    using client = new RawClient(front.port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    assert.match(await client.until('}\n'), /^HTTP\/1\.1 500 [\s\S]*application\/problem\+json[\s\S]*"code":"internal"/)
  }
})

test('a header of ours that would split the message is an error and not sent', async () => {
  await using app = await echo()
  const evil = { 'x-a': 'b\r\nx-evil: 1' }
  await using front = await serving(async exchange => {
    if (exchange.target === '/own') exchange.answer({ status: 200, headers: evil })
    else if (exchange.target === '/request') await exchange.forward({ ...to(app.address), requestHeaders: evil })
    else await exchange.forward({ ...to(app.address), responseHeaders: evil })
  })
  for (const path of ['/request', '/response', '/own']) {
    using client = new RawClient(front.port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    await client.until('500 ')
    assert.doesNotMatch(client.text, /x-evil/)
  }
})

test('a server that drains closes idle connections, and the others with their answer', async () => {
  const { held, wait } = gate()
  await using front = await serving(async exchange => {
    await wait(exchange)
    exchange.answer({ status: 200, body: 'last' })
  })
  using idle = new RawClient(front.port)
  using busy = new RawClient(front.port, GET)
  await until(() => held.length === 1 && front.exchanges.open === 2)
  front.exchanges.drain()
  await idle.closed()
  assert.equal(busy.ended, false)
  held[0]?.go()
  assert.match(await busy.closed(), /Connection: close\r\n\r\nlast$/)
})

test('an answer whose head was out when the drain began cannot say so; the connection ends with it all the same', async () => {
  let end = (): void => undefined
  await using app = await httpApp((_request, response) => {
    response.write('begun')
    end = () => response.end('<end>')
  })
  await using front = await serving(exchange => exchange.forward(to(app.address)))
  using client = new RawClient(front.port, GET)
  await client.until('begun')
  front.exchanges.drain()
  end()
  assert.doesNotMatch(await client.closed(), /Connection: close/)
  assert.match(client.text, /<end>\r\n0\r\n\r\n$/)
})

test('a connection that its upstream says to keep for 2 s is not used after 1', async () => {
  await using app = await rawApp(socket =>
    socket
      .on('end', () => socket.end())
      .on('data', () => socket.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nok')),
  )
  await using front = await serving(exchange => exchange.forward(to(app.address)))
  using client = new RawClient(front.port, GET)
  await client.until('ok')
  await front.clock.advance(500)
  assert.equal(app.sockets.size, 1)
  await front.clock.advance(500)
  await until(() => app.sockets.size === 0)
})

test('what must not be sent twice is not sent on a connection that may just be closing', async () => {
  const sockets: Socket[] = []
  await using app = await rawApp(socket => {
    sockets.push(socket)
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  })
  await using front = await serving(exchange => exchange.forward(to(app.address)))
  using client = new RawClient(front.port, GET)
  await client.until('ok')
  for (let left = 0; left < 4; left += 1) await front.clock.advance(500)
  client.text = ''
  client.send(GET)
  await client.until('ok')
  assert.equal(sockets.length, 1, 'a GET may be sent again')
  for (let left = 0; left < 4; left += 1) await front.clock.advance(500)
  client.text = ''
  client.send('POST / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until('ok')
  assert.equal(sockets.length, 2)
  for (const first of ['the request', 'the sweep']) {
    const before: number = sockets.length
    front.clock.pause(5_000)
    if (first === 'the sweep') await front.clock.advance(0)
    client.text = ''
    client.send('POST / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.until('ok')
    assert.equal(sockets.length, before + 1, `the machine was paused, and goes on with ${first}`)
  }
})

test('idle connections to an upstream that is forgotten are closed', async () => {
  await using app = await echo()
  await using front = await serving(exchange => exchange.forward(to(app.address)))
  using client = new RawClient(front.port, GET)
  await client.until('<GET / 0>')
  assert.equal(app.sockets.size, 1)
  front.exchanges.forget({ address: app.address, upstream: app.address })
  await until(() => app.sockets.size === 0)
})

test('a kept connection that closes is found closed, also where it was in use while nothing else was open', async () => {
  const sockets: Socket[] = []
  await using app = await rawApp(socket => void sockets.push(socket.resume()))
  await using front = await serving(exchange => exchange.forward(to(app.address)))
  using client = new RawClient(front.port, GET)
  await until(() => sockets.length === 1 && sockets[0]!.bytesRead > 0)
  await front.clock.advance(500) // a sweep of all connections while this one is in use
  sockets[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  await client.until('ok')
  sockets[0]?.end()
  await once(sockets[0] as Socket, 'close') // the front has closed its side by now
  client.text = ''
  client.send(GET)
  await until(() => sockets.length === 2)
  sockets[1]?.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain')
  await client.until('again')
})

test('what is counted adds up', async () => {
  await using app = await echo()
  await using front = await serving(exchange => exchange.forward(to(app.address)))
  using client = new RawClient(front.port, GET + GET)
  await client.until(/<GET[\s\S]*<GET/)
  using bad = new RawClient(front.port, 'GET / HTTP/1.1\r\n\r\n')
  await bad.closed()
  const { connections, requests, headsMalformed, byClass } = front.exchanges.counters
  assert.deepEqual([connections, requests, headsMalformed, byClass], [2, 2, 1, [0, 0, 2, 0, 1, 0]])
})
