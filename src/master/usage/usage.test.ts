import assert from 'node:assert/strict'
import { test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { appName, nodeName } from '../../model/names.ts'
import { NOTHING_USED, type UsageCounters } from '../../model/usage.ts'
import { HandClock } from '../../testing/clock.ts'
import { anApp, aTask } from '../../testing/fake-app.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { usageOfMonth } from './monthly.ts'
import { usageRecords } from './records.ts'
import { countStored } from './stored.ts'

const [BLOG, SHOP] = [appName('blog'), appName('shop')]
const [N1, N2] = [nodeName('n1'), nodeName('n2')]
const used = (requests: number, more: Partial<UsageCounters> = {}): UsageCounters => ({
  ...NOTHING_USED,
  requests,
  ...more,
})
const entry = (requests: number, day = '2026-12-30', app = BLOG) => ({ day, app, used: used(requests) })

test('a report that comes twice, or after a later one, changes nothing', async () => {
  const records = usageRecords(memoryStorage())
  for (const requests of [3, 5, 5, 4]) await records.take(N1, 'a', [entry(requests)])
  assert.equal((await records.ofMonth('2026-12')).get(BLOG)?.requests, 5)
})

test('the sum of a month is that of all nodes, days and counters, and of no other month', async () => {
  const records = usageRecords(memoryStorage())
  await records.take(N1, 'a', [entry(1), entry(10, '2026-12-31'), entry(7, '2027-01-01')])
  await records.take(N1, 'b', [entry(100)]) // its file was lost: the counter begins at zero
  await records.take(N2, 'c', [entry(1_000), entry(5, '2026-12-30', SHOP)])
  const december = await records.ofMonth('2026-12')
  assert.deepEqual([december.get(BLOG)?.requests, december.get(SHOP)?.requests], [1_111, 5])
  await records.take(N1, 'b', [entry(101)])
  assert.equal((await records.ofMonth('2026-12')).get(BLOG)?.requests, 1_112)
  assert.equal((await records.ofMonth('2027-01')).get(BLOG)?.requests, 7)
})

test('reports of two masters at once are both taken', async () => {
  const storage = memoryStorage()
  const masters = [usageRecords(storage), usageRecords(storage)]
  await Promise.all([BLOG, SHOP].map((app, at) => masters[at]!.take(N1, 'a', [entry(at + 1, '2026-12-30', app)])))
  const december = await masters[0]!.ofMonth('2026-12')
  assert.deepEqual([december.get(BLOG)?.requests, december.get(SHOP)?.requests], [1, 2])
})

test('beside what an app has used stands what it would have used without sleep, from when it was registered on', async () => {
  const clock = new HandClock(Date.parse('2026-12-11T00:00:00Z'))
  const records = usageRecords(memoryStorage())
  await records.take(N1, 'a', [entry(3, '2026-12-01'), entry(9, '2026-12-01', SHOP)])
  const limits = { ...aTask().limits, memory: '512MiB' as never }
  const blog = { ...anApp(aTask({ app: BLOG, limits })), name: BLOG, createdAt: '2026-12-10T00:00:00.000Z' }
  const ofMonth = usageOfMonth({
    records,
    find: async app => (app === BLOG ? blog : undefined),
    names: async () => [BLOG],
    owners: async () => [{ name: 'ann', apps: ['blog' as never] }],
    clock,
  })
  const { items, from, until } = await ofMonth(undefined, undefined)
  assert.deepEqual([from, until], ['2026-12-01T00:00:00.000Z', '2026-12-11T00:00:00.000Z'])
  assert.deepEqual(
    items.map(({ app, owner, requests, alwaysOn }) => [app, owner, requests, alwaysOn]),
    [
      [BLOG, 'ann', 3, { awakeSeconds: 86_400, memoryGiBSeconds: 43_200 }],
      [SHOP, null, 9, null],
    ],
  )
  assert.deepEqual((await ofMonth('2026-11', undefined)).items, [])
})

test('of several masters that count what is stored, one counts each piece of time; a gap is not counted', async () => {
  const clock = new HandClock(Date.parse('2026-12-30T12:00:00Z'))
  const storage = memoryStorage()
  const usage = usageRecords(storage)
  const ending = new AbortController()
  const record = { storedBytes: 6 * 2 ** 30 }
  const backups = {
    versions: async () => new Map([[BLOG as never, '1']]),
    read: async () => record as never,
  }
  const parts = { usage, backups, storage, clock, log: noLog }
  const running = [1, 2, 3].map(() => countStored(parts, ending.signal))
  const hours = async () => (await usage.ofMonth('2026-12')).get(BLOG)?.backupGiBHours ?? 0
  await clock.advance(3_600_000)
  assert.ok(Math.abs((await hours()) - 6) < 1e-6, `${await hours()}`)
  // No master runs for a day.
  ending.abort()
  await clock.advance(60_000)
  await Promise.all(running)
  clock.pause(86_400_000)
  const next = new AbortController()
  const again = countStored(parts, next.signal)
  await clock.advance(1_800_000)
  assert.ok(Math.abs((await hours()) - 9) < 1e-6, `${await hours()}`)
  next.abort()
  await clock.advance(60_000)
  await again
})
