import assert from 'node:assert/strict'
import { test } from 'vitest'
import { WAKE_STEPS } from '../../../../model/instance.ts'
import type { StepTime } from '../../../../model/timeline.ts'
import { barsOf, lanesOf } from './waterfall-layout.ts'

const WAKE: readonly StepTime[] = [
  { step: 'ready', startMs: 60, ms: 140 },
  { step: 'lease', startMs: 0, ms: 10 },
  { step: 'image', startMs: 0, ms: 20 },
  { step: 'attach', startMs: 10, ms: 20 },
  { step: 'create', startMs: 20, ms: 20 },
  { step: 'start', startMs: 40, ms: 20 },
]

test('bars stand in the order the steps began, at their real start and length', () => {
  const bars = barsOf(WAKE, 200)
  assert.deepEqual(
    bars.map(({ step, left, width }) => [step, left, width]),
    [
      ['lease', 0, 5],
      ['image', 0, 10],
      ['attach', 5, 10],
      ['create', 10, 10],
      ['start', 20, 10],
      ['ready', 30, 70],
    ],
  )
})

test('steps that run side by side are in different lanes, others share one', () => {
  const lanes = lanesOf(barsOf(WAKE, 200))
  assert.deepEqual(
    lanes.map(lane => lane.map(({ step }) => step)),
    [
      ['lease', 'attach', 'start', 'ready'],
      ['image', 'create'],
    ],
  )
})

test('a step of no time can be seen, and no bar leaves the picture', () => {
  for (const ms of [0, 10, 100]) {
    const bars = barsOf(
      [
        { step: 'lease', startMs: 0, ms: 0 },
        { step: 'ready', startMs: 100, ms: 0 },
      ],
      ms,
    )
    for (const { left, width } of bars) assert.ok(width > 0 && left >= 0 && left + width <= 100)
  }
})

test('every step has words', () => {
  for (const step of WAKE_STEPS)
    assert.notEqual(barsOf([{ step, startMs: 0, ms: 1 }], 1)[0]?.words, step === 'mount' ? '' : step)
})
