import assert from 'node:assert/strict'
import { test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { silentLog } from '../../testing/silent-log.ts'
import { undoExpiry } from './expiry.ts'

const DAY = 86_400_000

/** How often it was looked for what is old, in the time that passes. */
async function looks(keptForMs: number | undefined, passes: number, fails = false): Promise<number> {
  const clock = new HandClock()
  let count = 0
  const snapshots = {
    async expire() {
      count++
      if (fails) throw new Error('the store is away')
    },
  }
  using _ = undoExpiry({ snapshots, keptForMs, clock, log: silentLog })
  for (let left = passes; left > 0; left -= 60_000) await clock.advance(60_000)
  return count
}

test('what restores have replaced is looked at four times an hour, also after a failure, and oftener where it is kept for minutes', async () => {
  assert.equal(await looks(DAY, 3_600_000), 4)
  assert.equal(await looks(DAY, 3_600_000, true), 4)
  assert.equal(await looks(4 * 60_000, 3_600_000), 60)
})

test('where it is kept for ever nothing is looked at', async () => {
  assert.equal(await looks(undefined, DAY), 0)
})
