import assert from 'node:assert/strict'
import { array, constantFrom, assert as holds, nat, property, string, tuple } from 'fast-check'
import { test } from 'vitest'
import { CASES } from '../../../testing/fuzz/cases.ts'
import { Chance } from '../../../testing/fuzz/chance.ts'
import { compare, type Input } from '../../../testing/fuzz/difference.ts'
import { cuts, input } from '../../../testing/fuzz/grammar.ts'

const everyByte = (length: number): number[] => Array.from({ length }, (_, at) => at)

for (const { what, kind, text, refused } of CASES) {
  test(`${refused ? 'refused' : 'understood as Node understands it'}: ${what}`, () => {
    const made: Input = { bytes: Buffer.from(text, 'latin1'), kind, heads: [] }
    for (const cut of [[], everyByte(text.length)]) {
      const outcome = compare(made, cut, [])
      assert.equal(outcome.differs, undefined)
      assert.equal(outcome.refused, refused)
    }
  })
}

test('30,000 inputs made by a grammar and spoilt are refused, or understood as Node understands them', () => {
  let understood = 0
  for (let seed = 1; seed <= 30_000; seed += 1) {
    const chance = new Chance(seed)
    const made = input(chance)
    const outcome = compare(made, cuts(made.bytes.length, chance), cuts(made.bytes.length, chance))
    assert.equal(outcome.differs, undefined, `seed ${seed}: ${JSON.stringify(made.bytes.toString('latin1'))}`)
    understood += outcome.messages
  }
  assert(understood > 15_000, `only ${understood} messages were understood: the grammar tests too little`)
})

const PIECES = [
  'GET / HTTP/1.1\r\n',
  'POST /x HTTP/1.1\r\n',
  'HTTP/1.1 200 OK\r\n',
  'Host: h\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Content-Length: 3\r\n',
  'Connection: ',
  '\r\n',
  '3\r\nabc\r\n',
  '0\r\n\r\n',
  'abc',
  ' ',
  ':',
  '\n',
  '\r',
  '\0',
  ';x="',
  '\t',
] as const

test('so are pieces of messages in any order, cut anywhere', () => {
  const pieces = array(
    constantFrom(...PIECES).chain(piece => constantFrom(piece, piece, piece.toLowerCase())),
    { maxLength: 12 },
  )
  void holds(
    property(
      tuple(pieces, string({ unit: 'binary', maxLength: 4 }), array(nat(200), { maxLength: 4 })),
      ([parts, noise, at]) => {
        const bytes = Buffer.from(parts.join('') + noise, 'latin1')
        const within = at.map(cut => cut % (bytes.length + 1))
        for (const kind of ['request', 'response'] as const) {
          const { differs } = compare({ bytes, kind, heads: [] }, within, [])
          assert.equal(differs, undefined)
        }
      },
    ),
    { numRuns: 5_000, seed: 7 },
  )
})
