import assert from 'node:assert/strict'
import { test } from 'vitest'
import { goesLast } from './volume-move.ts'

const MIB = 2 ** 20

for (const [sent, last, why] of [
  [[], false, 'nothing is copied yet'],
  [[10 * MIB], true, 'a small volume'],
  [[300 * MIB], false, 'the first pass took long: much may have changed'],
  [[300 * MIB, 10 * MIB], true, 'little has changed'],
  [[300 * MIB, 100 * MIB], false, 'the passes become shorter'],
  [[300 * MIB, 200 * MIB], true, 'the app writes as fast as it is copied'],
  [[900 * MIB, 400 * MIB, 190 * MIB, 90 * MIB], false, 'it goes on becoming shorter'],
  [[900 * MIB, 400 * MIB, 190 * MIB, 90 * MIB, 40 * MIB], true, 'no more than five passes'],
] as const)
  test(`after passes of ${sent.map(bytes => bytes / MIB).join(', ') || 'no'} MiB the next is ${last ? '' : 'not '}the last: ${why}`, () =>
    assert.equal(goesLast(sent), last))
