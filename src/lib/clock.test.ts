import assert from 'node:assert/strict'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, test, vi } from 'vitest'
import { type Clock, systemClock, timestamp, wallAt } from './clock.ts'

const HOURS = 3_600_000

afterEach(() => void vi.restoreAllMocks())

for (const ms of [3 * HOURS, -3 * HOURS])
  describe(`the machine's wall clock is set by ${ms / HOURS} hours`, () => {
    const set = (): void => {
      const real = Date.now
      vi.spyOn(Date, 'now').mockImplementation(() => real() + ms)
    }

    test('lengths of time are as they were', () => {
      const before = systemClock.now()
      set()
      const passed = systemClock.now() - before
      assert.ok(passed >= 0 && passed < HOURS, `${passed} ms`)
    })

    test('an alarm rings once, no earlier than it was set for', async () => {
      const rung = Promise.withResolvers<void>()
      const from = systemClock.now()
      systemClock.after(30, rung.resolve)
      set()
      const alive = setInterval(() => undefined, 1_000) // our timers do not keep a process alive
      await rung.promise
      clearInterval(alive)
      assert.ok(systemClock.now() - from >= 29)
    })

    test('documents have the wall time, and a moment before is told by it too', () => {
      const moment = systemClock.now() - 5_000
      set()
      assert.ok(Math.abs(Date.parse(timestamp(systemClock)) - Date.now()) < HOURS)
      assert.ok(Math.abs(Date.now() - 5_000 - wallAt(systemClock, moment)) < HOURS)
    })
  })

test('all threads have the same time, or a rate that they share would mean something else in each', async () => {
  const entry = new URL('./clock.ts', import.meta.url).href
  const worker = new Worker(
    `import('${entry}').then(({ systemClock }) => require('node:worker_threads').parentPort.postMessage(systemClock.now()))`,
    { eval: true },
  )
  const before = systemClock.now()
  const [there] = await new Promise<[number]>((resolve, reject) => {
    worker.once('message', now => resolve([now]))
    worker.once('error', reject)
  })
  const after = systemClock.now()
  await worker.terminate()
  assert.ok(before - 2 <= there && there <= after + 2, `${before} <= ${there} <= ${after}`)
})

test('a moment is the same each time it is told, although both clocks are read in whole milliseconds', () => {
  let ms = 0
  const clock: Clock = {
    now: () => Math.floor(ms + 0.7),
    wall: () => Math.floor(ms + 0.2) + 1_000,
    after: systemClock.after,
  }
  const told = new Set<number>()
  for (ms = 10; ms < 12; ms += 0.1) told.add(wallAt(clock, 5))
  assert.equal(told.size, 1)
  ms += 0.5
  clock.wall = () => 9_000
  assert.notEqual(wallAt(clock, 5), [...told][0], 'a clock that was set is believed')
})
