import { expect, test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { Watchdog } from './watchdog.ts'

/** A watched party that answers pings only when the test says so. */
function somebody(watchdog: Watchdog) {
  const waiting: PromiseWithResolvers<void>[] = []
  const hangs: number[] = []
  const ping = (): Promise<void> => {
    const asked = Promise.withResolvers<void>()
    waiting.push(asked)
    return asked.promise
  }
  const watch = watchdog.watch(ping, unansweredMs => hangs.push(unansweredMs))
  const answer = (): void => {
    for (const { resolve } of waiting.splice(0)) resolve()
  }
  return { waiting, hangs, watch, answer }
}

/** A clock whose alarms can be paused, as in a process that is stopped. */
class PausedClock extends HandClock {
  pausedMs = 0

  override now(): number {
    return super.now() + this.pausedMs
  }
}

test('a thread that answers is pinged again each second, one ping at a time', async () => {
  const clock = new HandClock()
  const one = somebody(new Watchdog(clock))
  await clock.advance(999)
  expect(one.waiting.length).toBe(0)
  await clock.advance(1)
  expect(one.waiting.length).toBe(1)
  await clock.advance(5_000)
  expect(one.waiting.length).toBe(1)
  for (let round = 0; round < 100; round++) {
    one.answer()
    await clock.advance(9_000)
    expect([one.waiting.length, one.hangs]).toEqual([1, []])
  }
})

test('a thread that does not answer for ten seconds hangs, which is reported once; others do not hang', async () => {
  const clock = new HandClock()
  const watchdog = new Watchdog(clock)
  const [one, other] = [somebody(watchdog), somebody(watchdog)]
  await clock.advance(10_999)
  other.answer()
  expect([one.hangs, other.hangs]).toEqual([[], []])
  await clock.advance(1)
  expect([one.hangs, other.hangs]).toEqual([[10_000], []])
  for (let round = 0; round < 30; round++) {
    other.answer()
    await clock.advance(1_000)
  }
  expect([one.hangs, other.hangs]).toEqual([[10_000], []])
})

test('an answer in the last moment is one, and so is a failure', async () => {
  const clock = new HandClock()
  const one = somebody(new Watchdog(clock))
  await clock.advance(10_999)
  one.answer()
  await clock.advance(10_000)
  expect(one.hangs).toEqual([])
  one.waiting[0]?.reject(new Error('no'))
  await clock.advance(10_000)
  expect(one.hangs).toEqual([])
})

test('a pause of the whole process is no hang, however long; what is not answered before and after it is', async () => {
  const clock = new PausedClock()
  const one = somebody(new Watchdog(clock))
  await clock.advance(1_000)
  for (let pause = 0; pause < 20; pause++) {
    clock.pausedMs += 3_600_000 // no alarm rings during this time
    await clock.advance(1_000)
  }
  expect(one.hangs).toEqual([])
  await clock.advance(9_999)
  expect(one.hangs).toEqual([])
  await clock.advance(1)
  expect(one.hangs).toEqual([10_000])
})

test('a thread that is no longer watched does not hang, and no alarm is left when none is watched', async () => {
  const clock = new HandClock()
  const watchdog = new Watchdog(clock)
  const one = somebody(watchdog)
  await clock.advance(5_000)
  one.watch[Symbol.dispose]()
  await clock.advance(20_000)
  expect([one.hangs, clock.waiting]).toEqual([[], 0])
  const other = somebody(watchdog)
  await clock.advance(11_000)
  expect(other.hangs).toEqual([10_000])
  const third = somebody(watchdog)
  watchdog[Symbol.dispose]()
  await clock.advance(20_000)
  expect([third.hangs, clock.waiting]).toEqual([[], 0])
})
