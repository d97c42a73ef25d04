import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { httpApp, RawClient, rawApp, until } from '../../../testing/wire.ts'

const forwarding = fastForwarding()
const asking = (protocol: string): string =>
  `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n`

/** An app that switches to this protocol; `ends` are its sockets. */
async function switching(protocol: string) {
  const ends: Socket[] = []
  const app = await rawApp(socket => {
    socket.once('data', () => {
      ends.push(socket)
      socket.resume().write(`HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ${protocol}\r\n\r\n`)
    })
  })
  return Object.assign(app, { ends })
}

const GOING_AWAY = '\x88\x02\x03\xe9'

test('at a drain a WebSocket is closed as going away, and its app hears that from the client', async () => {
  const closes: number[] = []
  await using app = await httpApp(
    () => undefined,
    server => new WebSocketServer({ server }).on('connection', socket => socket.on('close', code => closes.push(code))),
  )
  await using front = await forwarding(app)
  const client = new WebSocket(`ws://127.0.0.1:${front.port}/`)
  await once(client, 'open')
  front.exchanges.drain()
  const [code] = await once(client, 'close')
  await until(() => front.outcomes.length === 1 && closes.length === 1)
  assert.deepEqual([code, closes, front.outcomes], [1001, [1001], ['done']])
  assert.equal(front.sockets.size, 0)
})

test('a hop that goes away behind another is heard of by the client, and the other hop ends with it', async () => {
  await using app = await httpApp(
    () => undefined,
    server => void new WebSocketServer({ server }),
  )
  await using node = await forwarding(app, { forwarded: 'keep' })
  await using front = await forwarding(node)
  const client = new WebSocket(`ws://127.0.0.1:${front.port}/`)
  await once(client, 'open')
  const closed = once(client, 'close')
  node.exchanges.drain()
  assert.equal((await closed)[0], 1001)
  await until(() => front.outcomes.length === 1 && node.outcomes.length === 1 && app.sockets.size === 0)
})

test('what is switched to after a drain began goes away at once', async () => {
  let answer = (): void => undefined
  await using app = await rawApp(socket => {
    answer = () =>
      void socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n')
    socket.on('data', () => undefined)
  })
  await using front = await forwarding(app)
  using client = new RawClient(front.port, asking('websocket'))
  await until(() => [...app.sockets].some(socket => socket.bytesRead > 0))
  front.exchanges.drain()
  answer()
  await client.until(GOING_AWAY)
})

test('the frame that the app is sending is passed to its end before, and nothing after', async () => {
  await using app = await switching('websocket')
  await using front = await forwarding(app)
  using client = new RawClient(front.port, asking('websocket'))
  await client.until('\r\n\r\n')
  client.text = ''
  app.ends[0]?.write('\x81\x06abc', 'latin1')
  await client.until('abc')
  front.exchanges.drain()
  app.ends[0]?.write('def\x81\x02gh\x81\x02ij', 'latin1')
  await client.until(GOING_AWAY)
  app.ends[0]?.write('\x81\x02kl', 'latin1')
  assert.equal(await client.closed(), `\x81\x06abcdef\x81\x02gh\x81\x02ij${GOING_AWAY}`)
})

test('a client that does not answer is not waited for', async () => {
  await using app = await switching('websocket')
  await using front = await forwarding(app)
  using client = new RawClient(front.port, asking('websocket'))
  await client.until('\r\n\r\n')
  front.exchanges.drain()
  await client.until(GOING_AWAY)
  assert.equal(front.sockets.size, 1)
  await front.clock.advance(1_000)
  await until(() => front.sockets.size === 0 && front.outcomes.length === 1)
})

test('an app that has died ends its WebSockets, though nothing came from its connection', async () => {
  await using app = await switching('websocket')
  await using front = await forwarding(app)
  using client = new RawClient(front.port, asking('websocket'))
  await client.until('\r\n\r\n')
  const { address } = app
  front.exchanges.forget({ address, upstream: address })
  app.ends[0]?.write('\x81\x02ab', 'latin1')
  await client.until('ab')
  front.exchanges.forget({ address, upstream: address, cause: new Error('it died') })
  await client.closed()
  await until(() => front.outcomes.length === 1 && front.sockets.size === 0)
  assert.equal(front.exchanges.counters.webSocketsOpen, 0)
})

test('requests at an upstream that does not answer are cut, one whose answer comes goes on, and the upstream may come back', async () => {
  const asked: Socket[] = []
  await using app = await rawApp(socket => socket.on('data', () => asked.push(socket)))
  const silence = new Error('it does not answer')
  await using front = await forwarding(app)
  const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
  using silent = new RawClient(front.port, get)
  await until(() => asked.length === 1)
  using served = new RawClient(front.port, get)
  await until(() => asked.length === 2)
  front.exchanges.cut(app, silence)
  asked[1]?.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab')
  await served.until('ab')
  front.exchanges.cut(app, silence)
  await silent.until('500 ')
  asked[1]?.write('cd')
  await served.until('cd')
  assert.deepEqual(front.outcomes, [silence, 'done'])
  using later = new RawClient(front.port, get)
  await until(() => asked.length === 3)
  asked[2]?.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  await later.until('ok')
})

test('a kept connection that was switched serves no request after, and the next has its own', async () => {
  let connections = 0
  await using app = await rawApp(socket => {
    connections += 1
    socket.on('data', chunk =>
      socket.write(
        String(chunk).includes('Upgrade')
          ? 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: line\r\n\r\nswitched'
          : 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
      ),
    )
  })
  await using front = await forwarding(app)
  const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
  using first = new RawClient(front.port, get)
  await first.until('ok')
  using second = new RawClient(front.port, asking('line'))
  await second.until('switched')
  using third = new RawClient(front.port, get)
  await third.until('ok')
  assert.equal(connections, 2)
})

test('another protocol knows no such word: it is cut', async () => {
  await using app = await switching('line')
  await using front = await forwarding(app)
  using client = new RawClient(front.port, asking('line'))
  await client.until('\r\n\r\n')
  client.text = ''
  front.exchanges.drain()
  assert.equal(await client.closed(), '')
})
