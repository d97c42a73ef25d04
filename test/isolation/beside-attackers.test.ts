import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'vitest'

const BENCH = join(import.meta.dirname, '../../bench/isolation.ts')
const SECONDS = 10

type Report = {
  readonly rows: readonly { readonly case: string; readonly n: number }[]
  readonly aims: readonly { readonly id: string; readonly value: number }[]
  readonly notes: readonly string[]
}

// Other tests may use the machine, so this test checks only results that also hold on a slow machine. The benchmark checks times.
test('innocent apps and the master beside ten hostile apps lose no answer, and get none that is another’s', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [BENCH, '--json', '--seconds', `${SECONDS}`])
  const { rows, aims, notes }: Report = JSON.parse(stdout)
  const value = (id: string) => aims.find(aim => aim.id === `isolation/${id}`)?.value
  assert.deepEqual([value('wrong'), value('lost'), value('lost-after')], [0, 0, 0], notes.join('\n'))
  const answers = rows.find(row => row.case === 'steady, beside them')?.n ?? 0
  assert.ok(answers > SECONDS * 10, `the steady app was asked ${answers} times`)
})
