import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { LogLine } from '../../model/instance.ts'
import { Inbox } from './inbox.ts'

const MIB = 2 ** 20

test('a reader that stays behind long lines costs little memory, and is told how many it missed', async () => {
  const leaving = new AbortController()
  using inbox = new Inbox(leaving.signal)
  const line: LogLine = { at: '', stream: 'stdout', line: 'x'.repeat(64 * 1024) }
  for (let put = 0; put < 1_000; put++) inbox.put(line)
  const got: LogLine[] = []
  for await (const each of inbox) {
    got.push(each)
    if (each.stream === 'shadow') leaving.abort()
  }
  const kept = got.slice(0, -1)
  assert.ok(kept.reduce((sum, each) => sum + each.line.length, 0) <= 4 * MIB, `${kept.length} lines were kept`)
  assert.match(got.at(-1)?.line ?? '', new RegExp(`^${1_000 - kept.length} lines are left out`))
})
