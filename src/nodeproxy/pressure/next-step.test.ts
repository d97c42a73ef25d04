import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { instanceId } from '../../model/instance-id.ts'
import { appName } from '../../model/names.ts'
import { type Candidate, nextStep } from './next-step.ts'

const NOW = 1_000_000
const memory = (swapTotalBytes: number, swapFreeBytes: number) => ({
  totalBytes: 1_000,
  availableBytes: 10,
  swapTotalBytes,
  swapFreeBytes,
})
const NO_SWAP = memory(0, 0)
const SWAP = memory(100, 50)
const FULL_SWAP = memory(100, 10)

/** An app that nobody has used for so many minutes. */
const idle = (name: string, minutes: number, changes: Partial<Candidate> = {}): Candidate => ({
  id: instanceId(appName(name)),
  phase: 'awake',
  idleSince: NOW - minutes * 60_000,
  canSuspend: true,
  isKept: false,
  ...changes,
})

const chosen = (candidates: readonly Candidate[], of = NO_SWAP): string => {
  const step = nextStep(candidates, of, NOW)
  return step === undefined ? 'none' : `${step.id} ${step.to}`
}

describe('where the machine is short of memory', () => {
  test('the app that nobody has used for longest gives way, whether it is awake or frozen', () => {
    assert.equal(chosen([idle('a', 2), idle('b', 4, { phase: 'frozen' }), idle('c', 3)]), 'b asleep')
    assert.equal(chosen([idle('a', 5), idle('b', 4, { phase: 'frozen' })]), 'a asleep')
  })

  test('what was used a moment ago, or has just been woken, does not', () => {
    const moment = idle('a', 0, { idleSince: NOW - 29_999 })
    assert.equal(chosen([moment]), 'none')
    assert.equal(chosen([{ ...moment, idleSince: NOW - 30_000 }]), 'a asleep')
  })

  test('it is suspended where there is swap for its memory', () => {
    assert.equal(chosen([idle('a', 2)], SWAP), 'a suspended')
    assert.equal(chosen([idle('a', 2, { phase: 'frozen' })], SWAP), 'a suspended')
    assert.equal(chosen([idle('a', 2, { canSuspend: false })], SWAP), 'a asleep')
    assert.equal(chosen([idle('a', 2)], FULL_SWAP), 'a asleep')
  })

  test('a suspended app, which has little to give, comes after all others', () => {
    assert.equal(chosen([idle('a', 9, { phase: 'suspended' }), idle('b', 2)], SWAP), 'b suspended')
    assert.equal(chosen([idle('a', 9, { phase: 'suspended' })], SWAP), 'a asleep')
  })

  test('where the swap is nearly full, a suspended app sleeps in its turn', () => {
    assert.equal(chosen([idle('a', 9, { phase: 'suspended' }), idle('b', 2)], FULL_SWAP), 'a asleep')
  })

  test('an app that is to keep its memory gives way after those that are not', () => {
    assert.equal(chosen([idle('a', 9, { isKept: true }), idle('b', 2)]), 'b asleep')
    assert.equal(chosen([idle('a', 9, { isKept: true })]), 'a asleep')
  })
})
