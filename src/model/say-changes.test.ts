import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { sayChanges } from './say-changes.ts'

describe('the changes of a release in a line:', () => {
  for (const [changes, said] of [
    [[], '-'],
    [
      [
        { field: 'env.B', before: 'x', after: 'y' },
        { field: 'env.A', after: 'x' },
        { field: 'port', before: 8000, after: 80 },
        { field: 'limits.shm', after: '1GiB' },
        { field: 'command', before: ['a'], after: ['b'] },
        { field: 'secrets.KEY', before: 'x' },
        { field: 'secretsVersion', before: 1, after: 2 },
      ],
      'port 8000 → 80, limits.shm none → 1GiB, command, env +A ~B, secrets -KEY',
    ],
    [[{ field: 'pinned.id', before: '1', after: '2' }], 'image rebuilt'],
    [
      [
        { field: 'image', before: 'x:1', after: 'x:2' },
        { field: 'pinned.id', before: '1', after: '2' },
      ],
      'image x:1 → x:2',
    ],
  ] as const)
    test(said, () => assert.equal(sayChanges(changes), said))
})
