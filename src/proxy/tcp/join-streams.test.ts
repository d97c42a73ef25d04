import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { afterEach, test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
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

async function joined(idleMs?: number): Promise<{ client: Socket; app: Socket; clock: HandClock; joined: Joined }> {
  const [[client, ours], [theirs, app]] = await Promise.all([pair(), pair()])
  const clock = new HandClock()
  return { client, app, clock, joined: joinStreams(ours, theirs, { idleMs, clock }) }
}

test('a client that has ended its side still gets all of the answer', async () => {
  const { client, app, joined: both } = await joined()
  client.end('question')
  assert.equal(await text(app), 'question')
  const answer = Buffer.alloc(3_000_000, 'x')
  app.end(answer)
  assert.deepEqual(await buffer(client), answer)
  assert.equal(await both.ended, 'closed')
})

test('an app that has ended its side still gets all that the client sends', async () => {
  const { client, app, joined: both } = await joined()
  app.end('hello')
  assert.equal(await text(client), 'hello')
  const sent = Buffer.alloc(3_000_000, 'y')
  client.end(sent)
  assert.deepEqual(await buffer(app), sent)
  assert.equal(await both.ended, 'closed')
})

test('a reset of the app resets the client', async () => {
  const { client, app, joined: both } = await joined()
  app.write('x')
  await once(client, 'data')
  const reset = once(client, 'error')
  app.resetAndDestroy()
  assert.equal(typeof (await both.ended), 'object')
  const [error] = await reset
  assert.equal(error.code, 'ECONNRESET')
})

test('a reset of the client ends the connection of the app', async () => {
  const { client, app, joined: both } = await joined()
  client.write('x')
  await once(app, 'data')
  const ended = new Promise(resolve => app.once('end', resolve).once('error', resolve))
  client.resetAndDestroy()
  assert.equal(typeof (await both.ended), 'object')
  await ended
})

test('a connection on which nothing passes for its idle time is closed; a byte either way begins the time anew', async () => {
  const { client, app, clock, joined: both } = await joined(60_000)
  app.write('a')
  await once(client, 'data')
  await clock.advance(50_000)
  client.write('b')
  await once(app, 'data')
  await clock.advance(50_000)
  assert.equal(client.destroyed || app.readableEnded, false)
  await clock.advance(10_000)
  assert.equal(await both.ended, 'idle')
  if (!client.readableEnded) await once(client, 'end')
})
