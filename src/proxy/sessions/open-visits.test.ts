import assert from 'node:assert/strict'
import { test } from 'vitest'
import { OPEN_VISITS_CHECKED_EVERY } from '../../model/intervals.ts'
import { aFront, aNode, FakeConnector, masterOf } from '../../testing/front.ts'
import { ANNS_TOKEN, aSession, BOBS_TOKEN, SESSION_HOST, storedToken } from '../../testing/sessions.ts'
import { RawClient, rawApp, until } from '../../testing/wire.ts'

const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const BEGUN = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n'
const PAST = '2027-01-15T08:00:01.000Z' // a second after the beginning of a test
const tokens = [storedToken(ANNS_TOKEN, { user: 'ann' }), storedToken(BOBS_TOKEN, { user: 'bob', until: PAST })]

async function serving() {
  const stack = new AsyncDisposableStack()
  const app = stack.use(
    await rawApp(socket =>
      socket
        .setEncoding('latin1')
        .once('data', (head: string) => {
          socket.write(/upgrade: /i.test(head) ? SWITCHED : BEGUN)
          socket.once('data', () => socket.end()) // the frame that closes a WebSocket
        })
        .on('end', () => socket.end()),
    ),
  )
  const apps = [aSession({ tokens })]
  const master = stack.use(await masterOf(apps, [aNode('one', '127.0.0.1:1')]))
  const connector = new FakeConnector(() => ({ address: app.address }))
  const front = stack.use(await aFront({ master: master.url, connector }))
  const ask = (token: string, lines: string): RawClient => {
    const client = new RawClient(front.port, `GET /${token}/ HTTP/1.1\r\nHost: ${SESSION_HOST}\r\n${lines}\r\n`)
    stack.defer(() => void client.socket.resetAndDestroy()) // after a FIN alone, a client may still read
    return client
  }
  return {
    apps,
    front,
    connector,
    stream: (token: string) => ask(token, ''),
    webSocket: (token: string) => ask(token, 'Connection: Upgrade\r\nUpgrade: websocket\r\n'),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

test('the WebSockets and streams of a token that is revoked end within a second, and those of other tokens do not', async () => {
  await using session = await serving()
  const [webSocket, stream] = [session.webSocket(ANNS_TOKEN), session.stream(ANNS_TOKEN)]
  const [othersWebSocket, othersStream] = [session.webSocket(BOBS_TOKEN), session.stream(BOBS_TOKEN)]
  for (const client of [webSocket, othersWebSocket]) await client.until('101 ')
  for (const client of [stream, othersStream]) await client.until('first')
  await session.front.clock.advance(OPEN_VISITS_CHECKED_EVERY)
  assert.equal(session.connector.held, 4)
  session.apps[0] = { ...aSession({ tokens: tokens.slice(1) }), updatedAt: PAST }
  while (session.connector.held > 2) await session.front.clock.advance(OPEN_VISITS_CHECKED_EVERY)
  await stream.closed()
  await webSocket.until(/\x88/) // the frame that closes it (RFC 6455, 5.5.1)
  assert.deepEqual([othersWebSocket.ended, othersStream.ended], [false, false])
})

test('a token that expires ends nothing that is open, and neither does the end of the session', async () => {
  await using session = await serving()
  const client = session.stream(BOBS_TOKEN)
  await client.until('first')
  await session.front.clock.advance(60_000)
  // An expired token goes when another one is given.
  session.apps[0] = { ...aSession({ tokens: tokens.slice(0, 1) }), updatedAt: PAST }
  await session.front.clock.advance(10 * OPEN_VISITS_CHECKED_EVERY)
  const other = session.stream(ANNS_TOKEN)
  await other.until('first')
  session.apps[0] = {
    ...aSession({ tokens: [], ending: { at: PAST, reason: 'asked', kind: 'soft' } }),
    updatedAt: PAST,
  }
  await session.front.clock.advance(10 * OPEN_VISITS_CHECKED_EVERY)
  assert.equal(session.connector.held, 2)
  assert.deepEqual([client.ended, other.ended], [false, false])
  for (const { socket } of [client, other]) socket.resetAndDestroy()
  await until(() => session.connector.held === 0)
})
