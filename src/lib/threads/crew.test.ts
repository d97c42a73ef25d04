import { afterEach, expect, test } from 'vitest'
import type { BlockerData, BlockerOrders } from '../../testing/blocker.ts'
import { HandClock } from '../../testing/clock.ts'
import { until } from '../../testing/wire.ts'
import { unexpectedErrors } from '../last-resort.ts'
import { Counts, countsMemory } from '../shared/counts.ts'
import type { Channel } from './channel.ts'
import { Crew } from './crew.ts'

const crews: Crew[] = []
afterEach(async () => {
  await Promise.all(crews.splice(0).map(crew => crew.end()))
})

async function twoThreads() {
  const [clock, watchdogClock] = [new HandClock(), new HandClock()]
  const counts = new Counts(countsMemory({ slots: 64, threads: 2 }))
  const channels: Channel[] = []
  const logged: string[] = []
  const at = (event: string, { worker }: Record<string, unknown> = {}): void => void logged.push(`${event}: ${worker}`)
  const crew = new Crew({
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
  crews.push(crew)
  await crew.start()
  const thread = (index: number) => (channels[index] as Channel).other<BlockerOrders>()
  /** Lets seconds pass, in each of which these threads answer. */
  const seconds = async (count: number, answering: readonly number[]): Promise<void> => {
    for (let second = 0; second < count; second++) {
      await watchdogClock.advance(1_000)
      // What is asked of them after the beat is answered after it.
      await Promise.all(answering.map(index => thread(index).call('take', 'asked')))
    }
  }
  return { crew, clock, counts, logged, thread, seconds }
}

test('threads that answer are let be, however long', async () => {
  const { crew, logged, seconds } = await twoThreads()
  await seconds(40, [0, 1])
  expect([crew.channels.length, crew.deaths, logged]).toEqual([2, 0, []])
})

for (const how of ['asleep', 'busy'] as const)
  test(`a thread that hangs (${how}) is ended, gives back what it counted, and is started again`, async () => {
    const { crew, clock, counts, logged, thread, seconds } = await twoThreads()
    for (const index of [0, 0, 1]) await thread(index).call('take', 'key')
    thread(0).tell('block', how)
    await seconds(10, [1])
    expect([logged, counts.of('key')]).toEqual([[], 3])
    await seconds(1, [1])
    await until(() => crew.deaths === 1)
    expect(logged).toEqual(['worker hangs; it is ended: 0', 'worker ended; it is started again: 0'])
    expect([crew.channels.length, counts.of('key')]).toEqual([1, 1])
    await clock.advance(100)
    await until(() => crew.channels.length === 2)
    expect(await thread(0).call('take', 'key')).toBe(true)
    expect(counts.of('key')).toBe(2)
    // The new one is watched, too.
    await seconds(12, [0, 1])
    thread(0).tell('block', how)
    await seconds(11, [1])
    await until(() => crew.deaths === 2)
  })

test('a crew ends while a thread of it hangs', async () => {
  const { crew, thread, seconds } = await twoThreads()
  await seconds(1, [0, 1])
  thread(0).tell('block', 'asleep')
  await seconds(11, [1])
  await crew.end()
  expect(crew.channels.length).toBe(0)
})

test('an error that no code of a thread takes is told of and counted, and the thread goes on', async () => {
  const { crew, logged, thread } = await twoThreads()
  const before = unexpectedErrors()
  thread(0).tell('fail', 'promise')
  await until(() => unexpectedErrors() === before + 1)
  thread(0).tell('fail', 'event')
  await until(() => unexpectedErrors() === before + 2)
  expect(await thread(0).call('take', 'key')).toBe(true)
  expect([crew.deaths, logged]).toEqual([0, ['unexpected error: 0', 'unexpected error: 0']])
})

test('an exception that cuts code of a thread short is told of and counted, and the thread is started again', async () => {
  const { crew, clock, logged, thread } = await twoThreads()
  const before = unexpectedErrors()
  thread(0).tell('fail', 'callback')
  await until(() => crew.deaths === 1)
  expect([unexpectedErrors(), logged]).toEqual([
    before + 1,
    ['unexpected error: 0', 'worker ended; it is started again: 0'],
  ])
  await clock.advance(100)
  await until(() => crew.channels.length === 2)
  expect(await thread(0).call('take', 'key')).toBe(true)
})
