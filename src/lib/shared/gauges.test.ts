import { expect, test } from 'vitest'
import { Gauges, gaugesMemory } from './gauges.ts'

test('threads count together up to the most, and what one had when it died is given back', () => {
  const memory = gaugesMemory({ slots: 64, threads: 2 })
  const [one, other] = [new Gauges(memory, 0).of('app'), new Gauges(memory, 1).of('app')]
  expect([one.take(2), other.take(2), one.take(2), other.take(2)]).toEqual([true, true, false, false])
  expect(one.used).toBe(2)
  new Gauges(memory).giveAll(1)
  expect(other.used).toBe(1)
  expect([one.take(2), one.take(2)]).toEqual([true, false])
  one.give()
  expect(other.take(2)).toBe(true)
})

test('keys are counted apart; where there is no room for one more it shares a count, and is never let off', () => {
  const gauges = new Gauges(gaugesMemory({ slots: 64 }))
  const all = Array.from({ length: 64 }, (_, at) => gauges.of(`key ${at}`))
  expect(all.every(gauge => gauge.take(1))).toBe(true)
  expect(gauges.of('key 7').take(1)).toBe(false)
  expect(gauges.of('one more').take(1)).toBe(false)
})
