import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { instanceView } from '../testing/fake-node.ts'
import { because } from './because.ts'
import { type InstanceView, STOP_REASONS } from './instance.ts'
import { summaryOf } from './instance-summary.ts'
import type { Duration } from './quantities.ts'

const why = (phase: InstanceView['phase'], more: Partial<InstanceView> = {}): string =>
  because({ idleAfter: '5m' as Duration }, summaryOf({ ...instanceView('blog', 'n1', phase), ...more }), 0)

describe('why an app is not awake, in a sentence', () => {
  test('each reason for which it was stopped has its own', () => {
    const all = STOP_REASONS.map(stoppedBy => why('asleep', { stoppedBy }))
    assert.equal(new Set(all).size, STOP_REASONS.length)
    assert.match(why('asleep', { stoppedBy: 'memory' }), /its machine was short of memory/)
  })

  test('one that was suspended because its machine was short of memory says so, one that was not does not', () => {
    assert.match(why('suspended', { frozenBy: 'memory' }), /^Nobody uses it, and its machine was short of memory: /)
    assert.doesNotMatch(why('suspended', { frozenBy: 'idle' }), /short of memory/)
    assert.match(why('suspended'), /its memory is in the swap/)
    assert.doesNotMatch(why('frozen'), /swap/)
  })

  test('one that is parked says what waits for it, and why it sleeps', () => {
    assert.equal(
      why('asleep', { stoppedBy: 'idle', parked: true }),
      'It went to sleep because nobody used it for 5m. A container waits for its next wake.',
    )
    assert.doesNotMatch(why('asleep', { stoppedBy: 'idle' }), /container/)
  })
})
