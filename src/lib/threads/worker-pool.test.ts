import { afterEach, expect, test } from 'vitest'
import type { BlockerData, BlockerOrders } from '../../testing/blocker.ts'
import { HandClock } from '../../testing/clock.ts'
import { until } from '../../testing/wire.ts'
import { Counts, countsMemory } from '../shared/counts.ts'
import { unexpectedErrors } from '../uncaught-errors.ts'
import type { Channel } from './channel.ts'
import { WorkerPool } from './worker-pool.ts'

const pools: WorkerPool[] = []
afterEach(async () => {
  await Promise.all(pools.splice(0).map(pool => pool.end()))
})

async function twoThreads() {
  const [clock, watchdogClock] = [new HandClock(), new HandClock()]
  const counts = new Counts(countsMemory({ slots: 64, threads: 2 }))
  const channels: Channel[] = []
  const logged: string[] = []
  const at = (event: string, { worker }: Record<string, unknown> = {}): void => void logged.push(`${event}: ${worker}`)
  const pool = new WorkerPool({
    entry: new URL('../../testing/blocker.ts', import.meta.url),
    size: 2,
    data: (thread): BlockerData => ({ memory: counts.memory, thread }),
    serve: (channel, thread) => {
      channels[thread] = channel
      return { [Symbol.dispose]: () => counts.giveAll(thread) }
    },
    endWithinMs: 10_000,
    clock,
    watchdogClock,
    log: { debug: at, info: at, warn: at, error: at },
  })
  pools.push(pool)
  await pool.start()
  const thread = (index: number) => (channels[index] as Channel).other<BlockerOrders>()
  /** Lets this many seconds pass. These threads answer in each of them. */
  const seconds = async (count: number, answering: readonly number[]): Promise<void> => {
    for (let second = 0; second < count; second++) {
      await watchdogClock.advance(1_000)
      // A call that is sent after the ping is answered after it.
      await Promise.all(answering.map(index => thread(index).call('take', 'asked')))
    }
  }
  return { pool, clock, counts, logged, thread, seconds }
}

test('threads that answer are let be, however long', async () => {
  const { pool, logged, seconds } = await twoThreads()
  await seconds(40, [0, 1])
  expect([pool.channels.length, pool.deaths, logged]).toEqual([2, 0, []])
})

for (const how of ['asleep', 'busy'] as const)
  test(`a thread that hangs (${how}) is ended, gives back what it counted, and is started again`, async () => {
    const { pool, clock, counts, logged, thread, seconds } = await twoThreads()
    for (const index of [0, 0, 1]) await thread(index).call('take', 'key')
    thread(0).notify('block', how)
    await seconds(10, [1])
    expect([logged, counts.of('key')]).toEqual([[], 3])
    await seconds(1, [1])
    await until(() => pool.deaths === 1)
    expect(logged).toEqual(['worker hangs; it is ended: 0', 'worker ended; it is started again: 0'])
    expect([pool.channels.length, counts.of('key')]).toEqual([1, 1])
    await clock.advance(100)
    await until(() => pool.channels.length === 2)
    expect(await thread(0).call('take', 'key')).toBe(true)
    expect(counts.of('key')).toBe(2)
    // The new thread is watched too.
    await seconds(12, [0, 1])
    thread(0).notify('block', how)
    await seconds(11, [1])
    await until(() => pool.deaths === 2)
  })

test('a pool ends while a thread of it hangs', async () => {
  const { pool, thread, seconds } = await twoThreads()
  await seconds(1, [0, 1])
  thread(0).notify('block', 'asleep')
  await seconds(11, [1])
  await pool.end()
  expect(pool.channels.length).toBe(0)
})

test('an error that no code of a thread takes is told of and counted, and the thread goes on', async () => {
  const { pool, logged, thread } = await twoThreads()
  const before = unexpectedErrors()
  thread(0).notify('fail', 'promise')
  await until(() => unexpectedErrors() === before + 1)
  thread(0).notify('fail', 'event')
  await until(() => unexpectedErrors() === before + 2)
  expect(await thread(0).call('take', 'key')).toBe(true)
  expect([pool.deaths, logged]).toEqual([0, ['unexpected error: 0', 'unexpected error: 0']])
})

test('an exception that cuts code of a thread short is told of and counted, and the thread is started again', async () => {
  const { pool, clock, logged, thread } = await twoThreads()
  const before = unexpectedErrors()
  thread(0).notify('fail', 'callback')
  await until(() => pool.deaths === 1)
  expect([unexpectedErrors(), logged]).toEqual([
    before + 1,
    ['unexpected error: 0', 'worker ended; it is started again: 0'],
  ])
  await clock.advance(100)
  await until(() => pool.channels.length === 2)
  expect(await thread(0).call('take', 'key')).toBe(true)
})
