import assert from 'node:assert/strict'
import { test } from 'vitest'
import { HandClock } from '../../../testing/clock.ts'
import { rawApp } from '../../../testing/wire.ts'
import { Counters } from '../counters.ts'
import { SocketBudget } from '../guard/socket-budget.ts'
import type { UpstreamConnection } from './connection.ts'
import { Pool } from './pool.ts'

const POOL = { idleSweeps: 4, surelyOpenSweeps: 1, connectSweeps: 8, connectWithinMs: 5_000, sweepMs: 1_000 }

/** A connection of the pool, as a request gets it. */
const given = (pool: Pool, address: string): Promise<UpstreamConnection> =>
  new Promise((resolve, reject) =>
    pool.wait({ address }, { waitedSweeps: 0, wantsFresh: true, given: resolve, notGiven: reject }),
  )

/** The next bytes for the user of the connection. */
const received = (upstream: UpstreamConnection): Promise<string> =>
  new Promise((resolve, reject) => {
    const unwanted = (): void => reject(new Error('no bytes came'))
    const [awaitsAnswer, ended, lost, writeFailed, silent] = [true, unwanted, unwanted, unwanted, unwanted]
    const read = (bytes: Buffer, end: number): void => resolve(bytes.toString('latin1', 0, end))
    upstream.user = { awaitsAnswer, received: read, ended, lost, writeFailed, silent }
  })

// TLS delivers all records of one read, also those after a pause: the last one may end the answer that was paused.
test('a connection that was paused for a slow client is read again by its next request', async () => {
  await using app = await rawApp(socket => socket.on('data', () => socket.write('answer')))
  const pool = new Pool({ ...POOL, clock: new HandClock() }, new Counters(), new SocketBudget({}, () => 0))
  const first = await given(pool, app.address)
  first.socket.pause()
  pool.give(first)
  const kept = pool.take({ address: app.address }, true)
  assert.equal(kept, first)
  const answer = received(first)
  first.writer.write(Buffer.from('request'))
  assert.equal(await answer, 'answer')
  first.destroy()
})

test('a connection that was paused for a slow client leaves the pool when the upstream closes it', async () => {
  const closing = Promise.withResolvers<() => void>()
  await using app = await rawApp(socket => closing.resolve(() => socket.destroy()))
  const pool = new Pool({ ...POOL, clock: new HandClock() }, new Counters(), new SocketBudget({}, () => 0))
  const first = await given(pool, app.address)
  first.socket.pause()
  pool.give(first)
  const closed = new Promise(resolve => first.socket.once('close', resolve))
  const close = await closing.promise
  close()
  await closed
  assert.equal(pool.take({ address: app.address }, true), undefined)
})
