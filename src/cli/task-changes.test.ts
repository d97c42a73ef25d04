import assert from 'node:assert/strict'
import { test } from 'vitest'
import { size } from '../model/quantities.ts'
import { aTask } from '../testing/fake-app.ts'
import { changesOf } from './task-changes.ts'

const before = aTask({ env: { A: '1', B: '2', C: '3' }, command: ['a'] })

test('a revision tells what it changed, of limits and variables too, but no value of a variable', () => {
  const limits = { ...before.limits, memory: size('1GiB') }
  const after = aTask({ ...before, revision: 2, env: { A: '1', B: 'new', D: '4' }, limits, port: 80, command: ['b'] })
  assert.equal(changesOf(after, before), 'env ~B -C +D, port 8000 → 80, limits.memory 64MiB → 1GiB, command')
})

test('the first revision, and one that is only newer, changed nothing', () => {
  assert.equal(changesOf(before, undefined), '-')
  assert.equal(changesOf(aTask({ ...before, revision: 2, createdAt: 'later' }), before), '-')
})
