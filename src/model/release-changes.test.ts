import assert from 'node:assert/strict'
import { test } from 'vitest'
import { aTask } from '../testing/fake-app.ts'
import { size } from './quantities.ts'
import { changesBetween } from './release-changes.ts'

const task = aTask({
  env: { A: 'digest-1', B: 'digest-2', constructor: 'x' },
  command: ['a'],
  pinned: { id: 'sha256:1' },
})
const before = { task, secrets: { KEY: 'digest-3' } }

test('fields are compared one by one, variables and secrets by name, and lists as a whole', () => {
  const after = {
    task: aTask({
      ...task,
      env: { A: 'digest-1', B: 'digest-9', C: 'digest-4' },
      limits: { ...task.limits, memory: size('1GiB') },
      command: ['b'],
      volume: undefined,
      secretsVersion: 2,
    }),
    secrets: { OTHER: 'digest-5' },
  }
  assert.deepEqual(changesBetween(before, after), [
    { field: 'env.B', before: 'digest-2', after: 'digest-9' },
    { field: 'env.constructor', before: 'x' },
    { field: 'env.C', after: 'digest-4' },
    { field: 'volume.id', before: 'blog' },
    { field: 'volume.size', before: '32MiB' },
    { field: 'volume.path', before: '/data' },
    { field: 'limits.memory', before: '64MiB', after: '1GiB' },
    { field: 'command', before: ['a'], after: ['b'] },
    { field: 'secrets.KEY', before: 'digest-3' },
    { field: 'secrets.OTHER', after: 'digest-5' },
    { field: 'secretsVersion', after: 2 },
  ])
})

test('releases that run the same do not differ, whoever made them and when', () => {
  const later = aTask({ ...task, revision: 7, createdAt: 'later', made: { by: 'rollback', to: 1, who: 'anna' } })
  assert.deepEqual(changesBetween(before, { ...before, task: later }), [])
})
