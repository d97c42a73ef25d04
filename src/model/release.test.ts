import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { inReach, KEPT_RELEASES, type Outcome } from './release.ts'

type Stored = { readonly revision: number; readonly outcome?: Outcome | undefined }

const upTo = (last: number, outcomes: Record<number, Outcome> = {}): Stored[] =>
  Array.from({ length: last }, (_, at) => ({ revision: at + 1, outcome: outcomes[at + 1] }))
const from = (newest: number, oldest: number) => Array.from({ length: newest - oldest + 1 }, (_, at) => newest - at)

describe('releases in reach:', () => {
  const K = KEPT_RELEASES
  for (const [says, releases, current, kept] of [
    ['the only one', upTo(1), 1, [1]],
    ['all of a few, newest first', upTo(3).toReversed(), 3, [3, 2, 1]],
    ['the current one and as many before it as are kept', upTo(K + 1), K + 1, from(K + 1, 1)],
    ['not the one before these', upTo(K + 2), K + 2, from(K + 2, 2)],
    [
      'the last one that was ready, however old it is',
      upTo(K + 9, { 2: 'ready', 1: 'ready' }),
      K + 9,
      [...from(K + 9, 9), 2],
    ],
    ['no old one that was ready, if a newer one was', upTo(K + 9, { 2: 'ready', 15: 'ready' }), K + 9, from(K + 9, 9)],
    ['no old one that was rejected', upTo(K + 9, { 2: 'rejected' }), K + 9, from(K + 9, 9)],
    // Revisions of a name go on after a removal, and a lost race leaves a gap.
    ['those there are, with gaps', [{ revision: 9 }, { revision: 4 }, { revision: 7 }], 9, [9, 7, 4]],
    ['none that is newer than the current one: it lost its race', upTo(4), 3, [3, 2, 1]],
  ] as const satisfies readonly (readonly [string, readonly Stored[], number, readonly number[]])[])
    test(says, () => {
      assert.deepEqual(
        inReach(releases, current).map(({ revision }) => revision),
        kept,
      )
    })
})
