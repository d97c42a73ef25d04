import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { Counts, countsMemory } from './counts.ts'

const HAMMER = new URL('../../testing/hammer.ts', import.meta.url)

/** Takes and gives back at random in a thread, until all is given back. Returns how often it took, and the most it had at once. */
function hammer(data: object): Promise<{ taken: number; most: number }> {
  return new Promise((resolve, reject) => {
    new Worker(HAMMER, { workerData: data }).once('message', resolve).once('error', reject)
  })
}

test('counts up to the most, and gives back', () => {
  const counts = new Counts()
  expect([counts.take('a', 2), counts.take('a', 2), counts.take('a', 2)]).toEqual([true, true, false])
  expect([counts.of('a'), counts.of('b')]).toEqual([2, 0])
  counts.give('a')
  expect(counts.of('a')).toBe(1)
  expect(counts.take('a', 2)).toBe(true)
  expect(counts.take('none', 0)).toBe(false)
})

test('giving what was not taken changes nothing', () => {
  const counts = new Counts()
  counts.give('a')
  expect(counts.of('a')).toBe(0)
  counts.take('a', 1)
  counts.give('a')
  counts.give('a')
  expect(counts.of('a')).toBe(0)
})

test('a table without room takes nothing for one key more, until one has gone', () => {
  const counts = new Counts(countsMemory({ slots: 64 }))
  const keys = Array.from({ length: 64 }, (_, at) => `key ${at}`)
  expect(keys.every(key => counts.take(key, 1))).toBe(true)
  expect(counts.take('one more', 1)).toBe(false)
  expect(counts.take('key 7', 2)).toBe(true)
  counts.give('key 9')
  expect(counts.take('one more', 1)).toBe(true)
  expect(keys.map(key => counts.of(key))).toEqual(keys.map((_, at) => (at === 7 ? 2 : at === 9 ? 0 : 1)))
})

test('thousands of keys are told apart at half load', () => {
  const counts = new Counts(countsMemory({ slots: 65_536 }))
  const keys = Array.from({ length: 32_768 }, (_, at) => `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`)
  expect(keys.filter(key => !counts.take(key, 1))).toEqual([])
  expect(keys.filter(key => counts.take(key, 1))).toEqual([])
  for (const key of keys) counts.give(key)
  expect(keys.filter(key => counts.of(key) !== 0)).toEqual([])
})

test('threads that take at the same time never have more than the most together, and none is lost', async () => {
  const threads = 4
  const memory = countsMemory({ slots: 256, threads })
  const tally = new SharedArrayBuffer(4 * 8)
  const told = await Promise.all(
    Array.from({ length: threads }, (_, thread) => hammer({ memory, tally, thread, most: 3, keys: 8, rounds: 60_000 })),
  )
  const counts = new Counts(memory)
  expect(Math.max(...told.map(({ most }) => most))).toBeLessThanOrEqual(3)
  expect(told.every(({ taken }) => taken > 0)).toBe(true)
  expect(Array.from({ length: 8 }, (_, at) => counts.of(`key ${at}`))).toEqual(Array(8).fill(0))
  // Exactly `most` are free.
  expect([1, 2, 3, 4].map(() => counts.take('key 0', 3))).toEqual([true, true, true, false])
})

test('the sum over threads is exact while none gives back', async () => {
  const threads = 4
  const memory = countsMemory({ slots: 64, threads })
  const tally = new SharedArrayBuffer(4)
  const told = await Promise.all(
    Array.from({ length: threads }, (_, thread) =>
      hammer({ memory, tally, thread, most: 50_000, keys: 1, rounds: 20_000, keeps: true }),
    ),
  )
  expect(told.reduce((sum, { taken }) => sum + taken, 0)).toBe(50_000)
  expect(new Counts(memory).of('key 0')).toBe(50_000)
})

test('what a thread had is given back when it is no more, what others have stays', () => {
  const memory = countsMemory({ threads: 2 })
  const [mine, other] = [new Counts(memory, 0), new Counts(memory, 1)]
  mine.take('a', 9)
  other.take('a', 9)
  other.take('b', 9)
  mine.giveAll(1)
  expect([mine.of('a'), mine.of('b')]).toEqual([1, 0])
})
