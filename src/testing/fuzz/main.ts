import { Chance } from './chance.ts'
import { compare } from './difference.ts'
import { cuts, input } from './grammar.ts'

/** node src/testing/fuzz/main.ts [count] [seed]: gives inputs to our framer and to Node's parser, and reports the differences. */
const many = Number(process.argv[2] ?? 100_000)
const first = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 31))
const SHOWN = 20
let refused = 0
let messages = 0
let differ = 0
for (let seed = first; seed < first + many; seed += 1) {
  const chance = new Chance(seed)
  const made = input(chance)
  const outcome = compare(made, cuts(made.bytes.length, chance), cuts(made.bytes.length, chance))
  messages += outcome.messages
  if (outcome.refused) refused += 1
  if (outcome.differs === undefined) continue
  differ += 1
  if (differ <= SHOWN)
    process.stdout.write(
      `seed ${seed} ${made.kind}: ${outcome.differs}\n  ${JSON.stringify(made.bytes.toString('latin1'))}\n`,
    )
}
process.stdout.write(`${JSON.stringify({ first, inputs: many, messages, refused, differ })}\n`)
process.exitCode = differ === 0 ? 0 : 1
