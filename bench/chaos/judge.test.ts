import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { test } from 'vitest'
import { judge } from './judge.ts'

/** A journal with these lines: kind, run, time, and the id of the request if it is an append. */
const journal = (...lines: string[]): string =>
  lines.map(line => `${crc32(line).toString(16).padStart(8, '0')} ${line}\n`).join('')

const ONE = ['start one 1 -', 'append one 2 r1', 'beat one 3 -', 'stop one 4 -']
const TWO = ['start two 5 -', 'append two 6 r2']

for (const [what, text, found] of [
  ['two runs, one after the other', journal(...ONE, ...TWO), { lostAppends: [], overlaps: [] }],
  ['an append that is missing', journal(...ONE, 'start two 5 -'), { lostAppends: ['r2'], overlaps: [] }],
  [
    'an append that is there twice',
    journal(...ONE, ...TWO, 'append two 7 r1'),
    { lostAppends: [], repeated: ['r1'], overlaps: [] },
  ],
  [
    'a line of the first run among those of the second',
    journal(...ONE, ...TWO, 'beat one 7 -'),
    { lostAppends: [], overlaps: ['one wrote after two had begun'] },
  ],
  [
    'a run that began before the last line of the one above it',
    journal(...ONE, 'start two 3 -', 'append two 6 r2'),
    { lostAppends: [], overlaps: ['two began 1 ms before the end of one'] },
  ],
  ['a damaged line', `${journal(...ONE)}00000000 ${TWO[1]}\n`, { lostAppends: ['r2'], overlaps: [] }],
  ['half a line and a run after it', `${journal(...ONE)}1234\n${journal(...TWO)}`, { lostAppends: [], overlaps: [] }],
  ['a journal that cannot be read', '', { lostAppends: ['r1', 'r2'], overlaps: [] }],
] as const) {
  test(`the judge sees ${what}`, () => {
    const { lostAppends, repeated, overlaps } = judge('book', text, ['r1', 'r2'])
    assert.deepEqual({ lostAppends, repeated, overlaps }, { repeated: [], ...found })
  })
}
