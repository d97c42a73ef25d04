import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import type { Scale } from '../../model/scale.ts'
import { Demand, FALLS_AFTER_MS, type Load } from './demand.ts'

const TICK_MS = 500
const SCALE: Scale = { min: 0, max: 10, concurrency: { soft: 10, hard: 20 } }
const NONE: Load = { inFlight: 0, held: 0, ready: 1, cpu: 0 }

/** A front that looks every half second, with a load that a test sets. */
function aDemand(scale: Scale = SCALE) {
  const demand = new Demand()
  let now = 1_000_000
  const look = (load: Partial<Load>) => demand.next(scale, { ...NONE, ...load }, now)
  return {
    /** Goes on for so long with this load; returns how many instances there should be at each look. */
    during(ms: number, load: Partial<Load>): number[] {
      return Array.from({ length: ms / TICK_MS }, () => {
        now += TICK_MS
        return look(load).count
      })
    },
    look,
  }
}

const lastOf = (counts: readonly number[]): number => counts.at(-1) ?? Number.NaN

describe('how many instances there should be after 10 s of a steady load:', () => {
  const cases: readonly (readonly [string, Partial<Load>, Partial<Scale>, number])[] = [
    ['nothing', {}, {}, 0],
    ['nothing, and two kept', {}, { min: 2 }, 2],
    ['one request', { inFlight: 1 }, {}, 1],
    ['as many as the soft limit', { inFlight: 10 }, {}, 1],
    ['one more than the soft limit', { inFlight: 11 }, {}, 2],
    ['four times the soft limit', { inFlight: 40 }, {}, 4],
    ['requests that wait count', { inFlight: 20, held: 25 }, {}, 5],
    ['more than the most instances can take', { inFlight: 1_000 }, {}, 10],
    ['more than the most, of an app with one instance', { inFlight: 100 }, { max: 1 }, 1],
    ['few requests that use all processors of one instance', { inFlight: 2, cpu: 1 }, {}, 2],
    ['few requests that use all processors of four instances', { inFlight: 8, cpu: 1, ready: 4 }, {}, 5],
    ['few requests that use half of them', { inFlight: 8, cpu: 0.5, ready: 4 }, {}, 3],
    ['as much processor time as is wanted', { inFlight: 2, cpu: 0.8, ready: 2 }, {}, 2],
    ['processors that work though nobody asks', { inFlight: 0, cpu: 1, ready: 3 }, {}, 0],
    ['no knowledge of processors', { inFlight: 2, cpu: undefined, ready: 3 }, {}, 1],
    ['the limits that apps without any have', { inFlight: 101 }, { concurrency: undefined }, 3],
  ]
  for (const [name, load, scale, count] of cases)
    test(`${name}: ${count}`, () => {
      assert.equal(lastOf(aDemand({ ...SCALE, ...scale }).during(10_000, load)), count)
    })
})

test('a burst that one instance can take starts no second one', () => {
  const { during } = aDemand()
  assert.deepEqual(new Set(during(1_000, { inFlight: 20 })), new Set([1]))
  assert.deepEqual(new Set(during(5_000, { inFlight: 2 })), new Set([1]))
})

test('a load above the soft limit that lasts starts a second one within seconds', () => {
  const { during } = aDemand()
  const counts = during(3_000, { inFlight: 20 })
  assert.deepEqual([counts[0], lastOf(counts)], [1, 2])
})

test('requests that wait start several instances at once', () => {
  assert.equal(aDemand().look({ inFlight: 20, held: 70 }).count, 5)
})

test('the number falls only after the load has been lower for a while, and then to what is needed', () => {
  const { during } = aDemand()
  during(10_000, { inFlight: 40 })
  const counts = during(FALLS_AFTER_MS + 10_000, { inFlight: 5 })
  assert.ok(counts.slice(0, FALLS_AFTER_MS / TICK_MS - 1).every(count => count === 4))
  assert.equal(lastOf(counts), 1)
  assert.equal(lastOf(during(FALLS_AFTER_MS + 10_000, {})), 0)
})

test('a load that goes up and down around the limit does not make the number flap', () => {
  const { during } = aDemand()
  during(10_000, { inFlight: 11 })
  const counts = Array.from({ length: 20 }, (_, at) => during(2_000, { inFlight: at % 2 === 0 ? 9 : 12 })).flat()
  assert.deepEqual(new Set(counts), new Set([2]))
})

test('a lower maximum counts at once', () => {
  const demand = new Demand()
  for (let at = 0; at < 20; at++) demand.next(SCALE, { ...NONE, inFlight: 40 }, at * TICK_MS)
  assert.equal(demand.next({ ...SCALE, max: 2 }, { ...NONE, inFlight: 40 }, 20 * TICK_MS).count, 2)
})

test('it says why', () => {
  const { look, during } = aDemand()
  assert.equal(look({ inFlight: 20, held: 25 }).why, '45 requests at a time, 20 at most for each instance')
  during(10_000, { inFlight: 40 })
  assert.equal(look({ inFlight: 40 }).why, '40 requests at a time on average, 10 wanted for each instance')
})

test('while the number falls, fewer instances are needed than may get requests', () => {
  const { look, during } = aDemand()
  during(10_000, { inFlight: 40 })
  during(5_000, {})
  const { count, needed } = look({})
  assert.deepEqual([count, needed], [4, 0])
})
