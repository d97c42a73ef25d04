import assert from 'node:assert/strict'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { mapAtMost } from '../../lib/parallel.ts'
import { HandClock } from '../../testing/clock.ts'
import { countingStorage } from '../../testing/counting-storage.ts'
import { testMaster } from '../../testing/masters.ts'
import { directory } from '../storage/directory.ts'

const APPS = 10_000

test('10,000 apps are read once, however many pages look and whatever order they ask for', async () => {
  const path = await mkdtemp(join(tmpdir(), 'shadow-test-many-apps-'))
  await using _removed = { [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
  const { storage, calls, settled } = countingStorage(await directory({ path }))
  await using on = await testMaster(storage, new HandClock())
  await on.admin.call('registerApp', { body: { name: 'app-0', image: 'x', volume: { size: '1GiB' } } })
  const first = await readFile(join(path, 'apps/app-0.json'), 'utf8')
  const others = Array.from({ length: APPS - 1 }, (_, at) => `app-${at + 1}`)
  // Whole files appear at once, as the master reads them at any time.
  await mapAtMost(32, others, async name => {
    await writeFile(join(path, `${name}.tmp`), first.replaceAll('app-0', name))
    await rename(join(path, `${name}.tmp`), join(path, `apps/${name}.json`))
  })
  await settled()
  const reads = (): number => calls.filter(call => call === 'get').length

  calls.length = 0
  const pages = await Promise.all([0, 9_990].map(offset => on.admin.call('getOverview', { query: { offset } })))
  assert.deepEqual(
    pages.map(({ items, total, counts }) => [items.length, total, counts.asleep]),
    [
      [50, APPS, APPS],
      [10, APPS, APPS],
    ],
  )
  // The rest: the caller's token, nodes, owners, and what was used this month.
  assert.ok(reads() < APPS + 50, `${reads()} reads`)

  calls.length = 0
  for (const sort of ['name', 'phase', 'since', 'node', 'cost', 'awake', 'volume', 'owner'] as const)
    await on.admin.call('getOverview', { query: { sort, order: 'desc', search: 'app-77', limit: 200 } })
  assert.deepEqual(calls, [])
}, 120_000)
