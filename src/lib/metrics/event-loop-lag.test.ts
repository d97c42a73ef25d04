import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { readLag, worst } from './event-loop-lag.ts'

test('a loop that was blocked was late', async () => {
  readLag()
  let max = 0
  // The first timer after a reading is not measured.
  while (max < 0.1) {
    await wait(25)
    const until = performance.now() + 200
    while (performance.now() < until);
    await wait(25)
    const lag = readLag()
    expect(lag.p50).toBeLessThanOrEqual(lag.max)
    max = lag.max
  }
  expect(max).toBeGreaterThanOrEqual(0.1)
})

test('of several threads the worst one counts', () => {
  expect(worst([])).toEqual({ p50: 0, p99: 0, max: 0 })
  expect(
    worst([
      { p50: 1, p99: 5, max: 6 },
      { p50: 2, p99: 3, max: 9 },
    ]),
  ).toEqual({ p50: 2, p99: 5, max: 9 })
})
