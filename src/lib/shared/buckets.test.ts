import { expect, test } from 'vitest'
import { Buckets, bucketsMemory } from './buckets.ts'

const NOW = 1_790_000_000_000
const rate = { perSecond: 10, burst: 3 }

test('a burst at once, then one each interval', () => {
  const buckets = new Buckets()
  expect([1, 2, 3].map(() => buckets.take('a', rate, NOW))).toEqual([0, 0, 0])
  expect(buckets.take('a', rate, NOW)).toBe(100)
  expect(buckets.take('a', rate, NOW + 60)).toBe(40)
  expect(buckets.take('a', rate, NOW + 100)).toBe(0)
  expect(buckets.take('a', rate, NOW + 100)).toBe(100)
  expect(buckets.take('b', rate, NOW)).toBe(0)
})

test('a bucket left alone is full again, and not fuller', () => {
  const buckets = new Buckets()
  for (let at = 0; at < 3; at++) buckets.take('a', rate, NOW)
  const later = NOW + 3_600_000
  expect([1, 2, 3].map(() => buckets.take('a', rate, later))).toEqual([0, 0, 0])
  expect(buckets.take('a', rate, later)).toBe(100)
})

test('a clock set back, or a lower rate, waits no longer than an empty bucket', () => {
  const buckets = new Buckets()
  buckets.take('a', rate, NOW)
  expect(buckets.take('a', rate, NOW - 3_600_000)).toBe(100)
  buckets.take('b', { perSecond: 0.001, burst: 1 }, NOW)
  expect(buckets.take('b', rate, NOW)).toBe(100)
})

test('in two views of one memory a token is taken once', () => {
  const [one, other] = (memory => [new Buckets(memory), new Buckets(memory)])(bucketsMemory())
  expect([one?.take('a', rate, NOW), other?.take('a', rate, NOW), one?.take('a', rate, NOW)]).toEqual([0, 0, 0])
  expect(other?.take('a', rate, NOW)).toBe(100)
})

test('without room the bucket nearest to full is given up', () => {
  const buckets = new Buckets(bucketsMemory(64))
  const slow = { perSecond: 1, burst: 1 }
  for (let at = 0; at < 64; at++) buckets.take(`key ${at}`, slow, NOW + at)
  expect(buckets.take('one more', slow, NOW + 100)).toBe(0)
  expect(buckets.take('one more', slow, NOW + 100)).toBeGreaterThan(0)
  expect(buckets.take('key 63', slow, NOW + 100)).toBeGreaterThan(0)
  expect(buckets.take('key 0', slow, NOW + 100)).toBe(0)
})
