import assert from 'node:assert/strict'
import { test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { countingStorage } from '../../testing/counting-storage.ts'
import { testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'

const APPS = 10_000

test('10,000 apps are read once, however many pages look and whatever order they ask for', async () => {
  const { storage, calls, settled } = countingStorage(memoryStorage())
  await using on = await testMaster(storage, new HandClock())
  await on.admin.call('registerApp', { body: { name: 'app-0', image: 'x', volume: { size: '1GiB' } } })
  const first = JSON.stringify((await storage.get('apps/app-0.json'))?.value)
  for (let at = 1; at < APPS; at++)
    await storage.create(`apps/app-${at}.json`, JSON.parse(first.replaceAll('app-0', `app-${at}`)))
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
