import assert from 'node:assert/strict'
import { test } from 'vitest'
import { standingOf, stateOf } from './budget.ts'
import { costOf, priceTable } from './prices.ts'
import { NOTHING_USED } from './usage.ts'

test('the cost is the sum of what each thing costs, by its own unit', () => {
  const prices = priceTable(`
    currency = EUR   # comments are left out
    awake-hour=1
    memory-gib-hour=10, cpu-hour=100
    volume-gib-month=1000, backup-gib-month=10000
    million-requests=100000
    egress-gib=1000000`)
  const used = {
    awakeSeconds: 3_600,
    memoryGiBSeconds: 2 * 3_600,
    cpuSeconds: 3 * 3_600,
    volumeGiBHours: 4 * 730,
    backupGiBHours: 5 * 730,
    requests: 6_000_000,
    egressBytes: 7 * 2 ** 30,
  }
  assert.equal(costOf(used, prices), 7_654_321)
  assert.equal(costOf(used, priceTable('currency=€')), 0)
})

for (const [text, why] of [
  ['memory-gib-hour=1', /currency is needed/],
  ['currency=EUR,memory-gib-hr=1', /did you mean memory-gib-hour/],
  ['currency=EUR,cpu-hour=-1', /write a price as/],
  ['currency=EUR,cpu-hour=1e9', /write a price as/],
  ['currency=EUR,cpu-hour', /is no price/],
  ['currency=1', /currency is needed/],
] as const)
  test(`"${text}" is no table of prices`, () => assert.throws(() => priceTable(text), why))

test('a budget stands as the limit that is spent most', () => {
  const used = { ...NOTHING_USED, awakeSeconds: 9 * 3_600, requests: 85, cost: 1 }
  const standing = standingOf({ awakeHours: 20, requests: 100, cost: 2 }, used, 'EUR')
  assert.deepEqual([standing?.share, standing?.says], [0.85, '85 of 100 requests'])
  assert.equal(standingOf({ cost: 2 }, { ...used, cost: undefined }, ''), undefined)
  assert.deepEqual([0.79, 0.8, 0.999, 1, 7].map(stateOf), [undefined, 'near', 'near', 'spent', 'spent'])
})
