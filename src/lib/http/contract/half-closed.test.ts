import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'vitest'
import { forwarding } from '../../../testing/forwarding.ts'
import { httpApp, RawClient, until } from '../../../testing/wire.ts'
import { isFailure } from '../../errors.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** An app that answers only when the test says so. */
async function waiting() {
  const held: { response: ServerResponse; body: string }[] = []
  const closed: string[] = []
  const app = await httpApp((request, response) => {
    let body = ''
    request
      .setEncoding('latin1')
      .on('data', chunk => {
        body += chunk
      })
      .on('end', () => held.push({ response, body }))
      .on('error', () => undefined)
    response.on('close', () => response.writableFinished || closed.push(request.url ?? ''))
  })
  return Object.assign(app, { held, closed })
}

/** Resolves when the front has seen the end of the client's side. */
const seen = (front: { sockets: Set<{ readableEnded: boolean }> }): Promise<void> =>
  until(() => [...front.sockets].some(socket => socket.readableEnded))

for (const [what, request, body] of [
  ['without a body', GET, ''],
  ['with a body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc', 'abc'],
  [
    'with a chunked body',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'abc',
  ],
  ['of HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n', ''],
] as const)
  test(`a client that ends its side after a request, as nc does, gets the answer and then the end: a request ${what}`, async () => {
    await using app = await waiting()
    await using front = await forwarding(app)
    using client = new RawClient(front.port)
    client.socket.end(request)
    await until(() => app.held.length === 1)
    await seen(front)
    app.held[0]?.response.end('the answer')
    assert.match(await client.closed(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*the answer/)
    assert.equal(app.held[0]?.body, body)
    assert.deepEqual(front.outcomes, ['done'])
  })

test('a client that ends its side after several requests gets all answers', async () => {
  await using app = await waiting()
  await using front = await forwarding(app)
  using client = new RawClient(front.port)
  client.socket.end(GET.repeat(3))
  for (let turn = 0; turn < 3; turn += 1) {
    await until(() => app.held.length === turn + 1)
    await seen(front)
    app.held[turn]?.response.end(`<${turn}>`)
  }
  assert.match(await client.closed(), /<0>[\s\S]*<1>[\s\S]*<2>/)
})

test('a client that has ended its side and waits is tested by an interim answer', async () => {
  await using app = await waiting()
  await using front = await forwarding(app)
  using client = new RawClient(front.port)
  client.socket.end(GET)
  await until(() => app.held.length === 1)
  await seen(front)
  for (let left = 6; left > 0; left -= 1) await front.clock.advance(500)
  app.held[0]?.response.end('late')
  assert.match(await client.closed(), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*late/)
})

test('a client of HTTP/1.0, which has no interim answers, is not tested', async () => {
  await using app = await waiting()
  await using front = await forwarding(app)
  using client = new RawClient(front.port)
  client.socket.end('GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  await until(() => app.held.length === 1)
  await seen(front)
  for (let left = 6; left > 0; left -= 1) await front.clock.advance(500)
  app.held[0]?.response.end('late')
  assert.match(await client.closed(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*late$/)
})

test('a client that has closed the connection, as browsers do, is found to have left within 1.5 s', async () => {
  await using app = await waiting()
  await using front = await forwarding(app)
  const client = new RawClient(front.port, GET)
  await until(() => app.held.length === 1)
  client.socket.destroy()
  await seen(front)
  await front.clock.advance(1_000)
  await new Promise(resolve => setImmediate(resolve)) // gives the reset time to arrive
  await front.clock.advance(500)
  await until(() => app.closed.length === 1)
  assert(isFailure(front.outcomes[0], 'client-gone'))
})

for (const [what, part] of [
  ['by its length', 'Content-Length: 9\r\n\r\nabc'],
  ['by its chunks', 'Transfer-Encoding: chunked\r\n\r\n3\r\nab'],
] as const)
  test(`a client that ends its side in the middle of a request, framed ${what}, has left`, async () => {
    await using app = await waiting()
    await using front = await forwarding(app)
    using client = new RawClient(front.port)
    client.socket.end(`POST / HTTP/1.1\r\nHost: a\r\n${part}`)
    await until(() => front.outcomes.length === 1)
    assert(isFailure(front.outcomes[0], 'client-gone'))
    await until(() => app.sockets.size === 0)
  })

test('an answer that pauses is cut if its client has ended its side', async () => {
  await using app = await waiting()
  await using front = await forwarding(app)
  using client = new RawClient(front.port)
  client.socket.end(GET)
  await until(() => app.held.length === 1)
  app.held[0]?.response.write('a part')
  await client.until('a part')
  await seen(front)
  await front.clock.advance(9_000)
  app.held[0]?.response.write('another')
  await client.until('another')
  await front.clock.advance(9_000)
  assert.deepEqual(front.outcomes, [])
  await front.clock.advance(3_000)
  await until(() => app.closed.length === 1)
  assert(isFailure(front.outcomes[0], 'client-gone'))
})
