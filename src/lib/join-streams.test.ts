import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { afterEach, test } from 'vitest'
import { HandClock } from '../testing/clock.ts'
import { type Joined, joinStreams } from './join-streams.ts'

const opened: (() => void)[] = []
afterEach(() => {
  for (const close of opened.splice(0)) close()
})

/** Two sockets that are connected: one end, and the other. */
async function pair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  const [far] = (await once(server, 'connection')) as [Socket]
  opened.push(() => [near, far].map(socket => socket.destroy()) && server.close())
  for (const socket of [near, far]) socket.on('error', () => undefined)
  return [near, far]
}

type Given = { readonly idleMs?: number; readonly halfIdleMs?: number; readonly resetsServer?: boolean }

async function joined({
  idleMs,
  ...more
}: Given = {}): Promise<{ client: Socket; server: Socket; clock: HandClock; joined: Joined }> {
  const [[client, ours], [theirs, server]] = await Promise.all([pair(), pair()])
  const clock = new HandClock()
  return { client, server, clock, joined: joinStreams(ours, theirs, { idleMs, ...more, clock }) }
}

test('a client that has ended its side still gets all of the answer', async () => {
  const { client, server, joined: both } = await joined()
  client.end('question')
  assert.equal(await text(server), 'question')
  const answer = Buffer.alloc(3_000_000, 'x')
  server.end(answer)
  assert.deepEqual(await buffer(client), answer)
  assert.equal(await both.ended, 'closed')
})

test('an server that has ended its side still gets all that the client sends', async () => {
  const { client, server, joined: both } = await joined()
  server.end('hello')
  assert.equal(await text(client), 'hello')
  const sent = Buffer.alloc(3_000_000, 'y')
  client.end(sent)
  assert.deepEqual(await buffer(server), sent)
  assert.equal(await both.ended, 'closed')
})

test('a reset of the server resets the client', async () => {
  const { client, server, joined: both } = await joined()
  server.write('x')
  await once(client, 'data')
  const reset = once(client, 'error')
  server.resetAndDestroy()
  assert.equal(typeof (await both.ended), 'object')
  const [error] = await reset
  assert.equal(error.code, 'ECONNRESET')
})

test('a reset of the client ends the connection of the server', async () => {
  const { client, server, joined: both } = await joined()
  client.write('x')
  await once(server, 'data')
  const ended = new Promise(resolve => server.once('end', resolve).once('error', resolve))
  client.resetAndDestroy()
  assert.equal(typeof (await both.ended), 'object')
  await ended
})

test('a reset of the client resets the server too where that must not take what came for all there is', async () => {
  const { client, server, joined: both } = await joined({ resetsServer: true })
  client.write('x')
  await once(server, 'data')
  const reset = assert.rejects(once(server, 'end'), { code: 'ECONNRESET' }) // not an end, as if all had come
  client.resetAndDestroy()
  assert.equal(typeof (await both.ended), 'object')
  await reset
})

test('once one side has ended, a shorter time counts', async () => {
  const { client, server, clock, joined: both } = await joined({ idleMs: 60_000, halfIdleMs: 10_000 })
  server.end()
  await text(client)
  await clock.advance(9_000)
  client.write('b')
  await once(server, 'data')
  await clock.advance(9_000)
  assert.equal(client.destroyed, false)
  await clock.advance(1_000)
  assert.equal(await both.ended, 'idle')
})

test('a connection on which nothing passes for its idle time is closed; a byte either way begins the time anew', async () => {
  const { client, server, clock, joined: both } = await joined({ idleMs: 60_000 })
  server.write('a')
  await once(client, 'data')
  await clock.advance(50_000)
  client.write('b')
  await once(server, 'data')
  await clock.advance(50_000)
  assert.equal(client.destroyed || server.readableEnded, false)
  await clock.advance(10_000)
  assert.equal(await both.ended, 'idle')
  if (!client.readableEnded) await once(client, 'end')
})
