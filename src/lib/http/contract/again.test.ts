import assert from 'node:assert/strict'
import { test } from 'vitest'
import { forwarding } from '../../../testing/forwarding.ts'
import { RawClient, rawApp } from '../../../testing/wire.ts'
import { UpstreamError } from '../next-hop.ts'

/** An app that answers the first request of each connection, and closes the connection at the second request without an answer. */
async function closesOnSecond() {
  const requests: string[] = []
  const app = await rawApp(socket => {
    let first = true
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      if (chunk.includes(' HTTP/1.1')) requests.push(chunk.split(' HTTP')[0] ?? '')
      if (!first) return socket.destroy()
      first = false
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  return Object.assign(app, { requests })
}

for (const [request, again] of [
  ['GET /2 HTTP/1.1\r\nHost: a\r\n\r\n', true],
  ['DELETE /2 HTTP/1.1\r\nHost: a\r\n\r\n', true],
  ['POST /2 HTTP/1.1\r\nHost: a\r\n\r\n', false],
  ['PUT /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab', false],
] as const) {
  const what = request.split(' HTTP')[0]
  test(`a kept connection that the app closes just then: ${what} is ${again ? 'sent again' : 'not sent twice'}`, async () => {
    await using app = await closesOnSecond()
    await using front = await forwarding(app)
    using client = new RawClient(front.port, 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.until('ok')
    client.text = ''
    client.send(request)
    await client.until(again ? 'ok' : '500')
    const sent = app.requests.filter(line => line.endsWith('/2'))
    assert.equal(sent.length, again ? 2 : 1)
    const last = front.outcomes.at(-1)
    if (!again) assert(last instanceof UpstreamError && last.sent)
  })
}

test('a request with a body that was asked first goes again, on a fresh connection', async () => {
  let connections = 0
  const bodies: string[] = []
  await using app = await rawApp(socket => {
    connections += 1
    let requests = 0
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      if (!chunk.includes('HTTP/1.1')) {
        bodies.push(chunk)
        return socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody')
      }
      requests += 1
      if (requests > 1) return socket.destroy()
      if (chunk.includes('100-continue')) return socket.write('HTTP/1.1 100 Continue\r\n\r\n')
      return socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  await using front = await forwarding(app, { expect: 'ask' })
  using client = new RawClient(front.port, 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until('ok')
  client.send('POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  await client.until('body')
  assert.deepEqual([connections, bodies], [2, ['abc']])
})

test('an upstream that fails on a fresh connection is not tried again', async () => {
  let connections = 0
  await using app = await rawApp(socket => {
    connections += 1
    socket.once('data', () => socket.destroy())
  })
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until('500')
  assert.equal(connections, 1)
})

test('connections are kept between requests', async () => {
  await using app = await rawApp(socket =>
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
  )
  await using front = await forwarding(app)
  using client = new RawClient(front.port)
  for (let round = 0; round < 5; round++) {
    client.text = ''
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.until('ok')
  }
  assert.equal(app.sockets.size, 1)
})
