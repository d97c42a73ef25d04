import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { WakeStep } from './instance.ts'
import { progressOf } from './wake-progress.ts'

for (const [done, stage] of [
  [[], 'preparing'],
  [['lease', 'attach', 'mount', 'image'], 'preparing'],
  [['lease', 'attach', 'mount', 'image', 'create'], 'starting'],
  [['image', 'create', 'start'], 'answering'],
  [['image', 'create', 'start', 'ready'], 'answering'],
] as const)
  test(`after ${done.join(', ') || 'no step'} a wake is ${stage}`, () => {
    const steps = Object.fromEntries(done.map((step: WakeStep) => [step, 1]))
    assert.deepEqual(progressOf({ phase: 'waking', lastWake: { ms: 700, steps } }), { phase: 'waking', stage, ms: 700 })
  })

test('an instance that is not being woken has no stage, whatever its last wake was', () => {
  assert.deepEqual(progressOf({ phase: 'awake', lastWake: { ms: 700, steps: { start: 1 } } }), { phase: 'awake' })
  assert.deepEqual(progressOf({ phase: 'asleep', lastWake: null }), { phase: 'asleep' })
})
