import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { appName, volumeId } from '../../model/names.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { UsageLedger } from './ledger.ts'

const BLOG = appName('blog')
const NOON = Date.parse('2026-12-30T12:00:00Z')
const HOUR = 3_600_000
const run = (at: number) => ({ at, cpuMs: 5, sentBytes: 7 })
const opened = (folder: string) => UsageLedger.open(folder, NOON, noLog)
const requests = (ledger: UsageLedger, day = '2026-12-30') => ledger.ofDay(day).get(BLOG)?.requests

test('what was flushed is there after a kill, with the readings that it was counted from; what was not is not', async () => {
  const folder = temporaryFolder('ledger')
  const first = await opened(folder)
  first.add(BLOG, NOON, NOON, { requests: 3 })
  first.keepRun('r1', run(NOON))
  first.keepVolume(volumeId('blog'), { at: NOON, bytes: 9 })
  await first.flush()
  first.add(BLOG, NOON, NOON, { requests: 2 })
  first.keepRun('r1', run(NOON + 1))

  const second = await opened(folder)
  assert.deepEqual([requests(second), second.run('r1'), second.counter], [3, run(NOON), first.counter])
  assert.deepEqual(second.volume(volumeId('blog')), { at: NOON, bytes: 9 })
})

test('a line that a kill has cut short counts for nothing, and the next one does not join it', async () => {
  const folder = temporaryFolder('ledger')
  const first = await opened(folder)
  for (const at of [1, 2]) {
    first.add(BLOG, NOON, NOON, { requests: 1 })
    first.keepRun('r1', run(NOON + at))
    await first.flush()
  }
  const text = await readFile(`${folder}/ledger.ndjson`, 'utf8')
  const line = text.trimEnd().length - text.trimEnd().lastIndexOf('\n')
  for (let cut = 2; cut < line; cut += 29) {
    const other = temporaryFolder('ledger')
    await writeFile(`${other}/ledger.ndjson`, text.slice(0, -cut))
    const second = await opened(other)
    // Neither the count nor the reading of the second line is there.
    assert.deepEqual([requests(second), second.run('r1')?.at], [1, NOON + 1], `${cut}`)
    second.add(BLOG, NOON, NOON, { requests: 10 })
    await second.flush()
    assert.equal(requests(await opened(other)), 11)
  }
})

test('time over midnight is divided between the days, requests are not', async () => {
  const ledger = await opened(temporaryFolder('ledger'))
  ledger.add(BLOG, NOON, NOON + 36 * HOUR, { awakeSeconds: 36, requests: 5 })
  const days = ledger.days.map(day => [day, ledger.ofDay(day).get(BLOG)?.awakeSeconds, requests(ledger, day)])
  assert.deepEqual(days, [
    ['2026-12-30', 12, 0],
    ['2026-12-31', 24, 5],
  ])
})

test('a day that is settled takes nothing more, not even after a restart: it goes to the day after', async () => {
  const folder = temporaryFolder('ledger')
  const ledger = await opened(folder)
  ledger.add(BLOG, NOON, NOON, { requests: 1 })
  ledger.settle('2026-12-30')
  ledger.add(BLOG, NOON, NOON, { requests: 4 })
  await ledger.flush()
  const second = await opened(folder)
  second.add(BLOG, NOON, NOON, { requests: 2 })
  assert.deepEqual(second.days, ['2026-12-31'])
  assert.equal(requests(second, '2026-12-31'), 6)
})
