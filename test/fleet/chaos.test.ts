import assert from 'node:assert/strict'
import { test } from 'vitest'
import { runChaos } from '../../bench/chaos/run.ts'
import { installed } from '../tools/installed.ts'

const SECONDS = Number(process.env['SHADOW_TEST_CHAOS_SECONDS'] ?? 30)
const SEED = Number(process.env['SHADOW_TEST_CHAOS_SEED'] ?? 1)
const AROUND_IT_MS = 240_000

test(
  `${SECONDS} s of faults at random lose no request and no append, have no two writers, and mix up no apps`,
  async () => {
    await using built = await installed()
    const lines: string[] = []
    const { requests, verdicts, ended } = await runChaos({
      shadow: built.shadow,
      lastsMs: SECONDS * 1_000,
      seed: SEED,
      say: line => lines.push(line),
    })
    const found = {
      lost: requests.filter(({ outcome }) => outcome === 'lost'),
      wrongApp: requests.filter(({ outcome }) => outcome === 'wrong-app'),
      lostAppends: verdicts.flatMap(({ app, lostAppends }) => lostAppends.map(id => `${app} ${id}`)),
      repeated: verdicts.flatMap(({ app, repeated }) => repeated.map(id => `${app} ${id}`)),
      overlaps: verdicts.flatMap(({ app, overlaps }) => overlaps.map(overlap => `${app}: ${overlap}`)),
    }
    assert.deepEqual(
      found,
      { lost: [], wrongApp: [], lostAppends: [], repeated: [], overlaps: [] },
      [...lines, ...ended].join('\n'),
    )
    assert.ok(requests.filter(({ outcome }) => outcome === 'answered').length > requests.length / 2, lines.join('\n'))
  },
  SECONDS * 1_000 + AROUND_IT_MS,
)
