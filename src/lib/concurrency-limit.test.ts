import { expect, test } from 'vitest'
import { HandClock } from '../testing/clock.ts'
import { ConcurrencyLimit } from './concurrency-limit.ts'
import { ShadowError } from './errors.ts'
import { Gauges, gaugesMemory } from './shared/gauges.ts'

const full = (): ShadowError => new ShadowError('queue-full', 'full')
const memory = gaugesMemory({ threads: 2 })

function placesOf(thread: number, clock: HandClock, name: string): ConcurrencyLimit {
  const gauges = new Gauges(memory, thread)
  const places = new ConcurrencyLimit(gauges.of(name), { gauge: gauges.of(`${name} waiting`), most: 2 }, full, clock)
  places.most = 2
  return places
}

const never = new AbortController().signal

test('who finds no place waits in order, and nobody passes them; too many are refused', async () => {
  const places = placesOf(0, new HandClock(), 'order')
  expect([places.enter(), places.enter(), places.enter()]).toEqual([true, true, false])
  const came: string[] = []
  const first = places.wait(never).then(() => came.push('first'))
  const second = places.wait(never).then(() => came.push('second'))
  await expect(places.wait(never)).rejects.toMatchObject({ code: 'queue-full' })
  places.leave()
  expect(places.enter()).toBe(false)
  await first
  places.leave()
  await second
  expect(came).toEqual(['first', 'second'])
})

test('who leaves while waiting makes room for another', async () => {
  const places = placesOf(0, new HandClock(), 'leaves')
  places.enter()
  places.enter()
  const gone = new AbortController()
  const waits = places.wait(gone.signal)
  gone.abort(new Error('gone'))
  await expect(waits).rejects.toThrow('gone')
  const others = [places.wait(never), places.wait(never)]
  places.leave()
  places.leave()
  await Promise.all(others)
})

test('a place that another thread gives back is found', async () => {
  const clock = new HandClock()
  const [mine, other] = [placesOf(0, clock, 'threads'), placesOf(1, clock, 'threads')]
  expect([other.enter(), mine.enter(), mine.enter()]).toEqual([true, true, false])
  let isIn = false
  const waits = mine.wait(never).then(() => {
    isIn = true
  })
  await clock.advance(100)
  expect(isIn).toBe(false)
  other.leave()
  await clock.advance(100)
  await waits
})
