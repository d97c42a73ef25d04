import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { MoveProgress } from '../model/volume-move.ts'
import { followMove, sayProgress } from './follow-move.ts'

const MIB = 2 ** 20
const at = (progress: Partial<MoveProgress>): MoveProgress => ({
  stage: 'copying',
  pass: 1,
  readBytes: 0,
  ofBytes: 0,
  sentBytes: 0,
  ...progress,
})

for (const [progress, line] of [
  [{}, 'copied while it serves: 0% of 0B'],
  [{ readBytes: 140 * MIB, ofBytes: 300 * MIB }, 'copied while it serves: 40% of 300MiB'],
  [
    { pass: 2, readBytes: 149 * MIB, ofBytes: 300 * MIB },
    'what has changed meanwhile (pass 2): 40% of 300MiB compared',
  ],
  [{ stage: 'stopping', sentBytes: 310 * MIB }, '310MiB copied; it is put to sleep, and its requests wait'],
  [
    { stage: 'finishing', readBytes: 300 * MIB, ofBytes: 300 * MIB },
    'asleep, for what has changed since: 100% of 300MiB compared',
  ],
  [{ stage: 'switching' }, 'all is copied and compared; the new node takes it over'],
] as const)
  test(`progress is said as "${line}"`, () => assert.equal(sayProgress(at(progress)), line))

test('each change is said once, an answer that fails is not told, and the move has the last word', async () => {
  const move = Promise.withResolvers<string>()
  const answers = [at({}), at({ readBytes: 1, ofBytes: 100 * MIB }), null, at({ stage: 'switching' })]
  const said: string[] = []
  const ask = async (): Promise<MoveProgress | null> => {
    if (answers.length === 1) move.resolve('moved')
    const next = answers.shift()
    if (next === undefined) throw new Error('no answer')
    return next
  }
  assert.equal(await followMove(move.promise, ask, line => said.push(line), 1), 'moved')
  assert.deepEqual(said.slice(0, 2), ['copied while it serves: 0% of 0B', 'copied while it serves: 0% of 100MiB'])
  await assert.rejects(
    followMove(Promise.reject(new Error('refused')), ask, () => undefined),
    /refused/,
  )
})
