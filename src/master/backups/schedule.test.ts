import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { Seals } from '../../lib/seals.ts'
import type { Backup, BackupReason } from '../../model/backup.ts'
import type { BackupPolicy } from '../../model/backup-policy.ts'
import { type AppName, nodeName, type VolumeId, volumeId } from '../../model/names.ts'
import { duration } from '../../model/quantities.ts'
import { HandClock } from '../../testing/clock.ts'
import { countingStorage } from '../../testing/counting-storage.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { silentLog } from '../../testing/silent-log.ts'
import { type BackupRecord, backupRecords } from './records.ts'
import { backupRuns } from './runs.ts'
import { backupSchedule } from './schedule.ts'

const DAY = 86_400_000
const MINUTE = 60_000
const DAILY: BackupPolicy = { every: duration('1d'), beforeDeploy: false, keep: { daily: 7 }, verify: duration('7d') }
const NODE = nodeName('n1')
const BLOG = volumeId('blog')
const seals = new Seals([Buffer.alloc(32, 7)])

let clock: HandClock
let records: ReturnType<typeof backupRecords>
/** What was done, such as `blog backup`. */
let done: string[]
let failure: ShadowError | undefined
let made: number
let calls: string[]

/** What a node would do, as runs by the record of the volume. */
function master() {
  const runs = backupRuns({ records, seals, clock, log: silentLog })
  const run = (
    app: AppName,
    kind: 'backup' | 'verify' | 'prune',
    change: (now: BackupRecord) => BackupRecord,
    mustBeWanted?: (now: BackupRecord) => void,
  ) =>
    runs.run(
      { volume: app as string as VolumeId, kind, node: NODE, mustBeWanted },
      new AbortController().signal,
      async () => {
        if (failure !== undefined) throw failure
        done.push(`${app} ${kind}`)
        return { value: {} as never, change }
      },
    )
  const at = (): string => new Date(clock.wall()).toISOString()
  const backup = (why: BackupReason): Backup => ({
    ...{ id: String(made++).padStart(64, '0'), at: at(), why, node: NODE, ms: 0, digest: '' },
    ...{ sizeBytes: 0, dataBytes: 0, addedBytes: 0 },
  })
  return backupSchedule({
    records,
    backups: {
      backUp: (app, why, _, mustBeWanted) =>
        run(app, 'backup', now => ({ ...now, backups: [backup(why), ...now.backups] }), mustBeWanted),
      verify: app => run(app, 'verify', now => ({ ...now, verified: { backup: now.backups[0]?.id ?? '', at: at() } })),
      prune: app => run(app, 'prune', now => ({ ...now, prunedAt: at() })),
    },
    clock,
    log: silentLog,
  })
}

const set = (volume: VolumeId, policy: BackupPolicy | null) =>
  records.change(volume, now => ({ ...now, policy }), { creates: true })
const count = (what: string): number => done.filter(one => one === what).length

/** Lets the time pass in steps of a minute, in which all that falls due is done. */
async function pass(ms: number, step = MINUTE): Promise<void> {
  for (let left = ms; left > 0; left -= step) await clock.advance(Math.min(step, left))
}

beforeEach(() => {
  clock = new HandClock()
  const counting = countingStorage(memoryStorage())
  calls = counting.calls
  records = backupRecords({ storage: counting.storage, seals })
  done = []
  failure = undefined
  made = 0
})

test('an app with a policy is backed up at once, pruned and tested, and then once a day', async () => {
  await using _ = master()
  await set(BLOG, DAILY)
  await pass(3 * MINUTE)
  assert.deepEqual(done, ['blog backup', 'blog prune', 'blog verify'])
  await pass(10 * DAY, 10 * MINUTE)
  assert.ok([10, 11].includes(count('blog backup') - 0), String(count('blog backup')))
  assert.equal(count('blog verify'), 2)
})

test('without a policy, or after it was cleared, nothing is done', async () => {
  await using _ = master()
  await set(BLOG, null)
  await pass(2 * DAY, 10 * MINUTE)
  assert.deepEqual(done, [])
  await set(BLOG, { ...DAILY, every: undefined })
  await pass(2 * DAY, 10 * MINUTE)
  assert.deepEqual(done, [])
})

test('a policy that another master has set is followed within a minute if that is told, and in a quarter of an hour if not', async () => {
  await using schedule = master()
  await pass(MINUTE)
  await set(BLOG, DAILY)
  schedule.changed(BLOG)
  await pass(MINUTE)
  assert.equal(count('blog backup'), 1)
  await set(volumeId('notes'), DAILY)
  await pass(16 * MINUTE)
  assert.equal(count('notes backup'), 1)
  await set(volumeId('shop'), DAILY)
  schedule.missed()
  await pass(MINUTE)
  assert.equal(count('shop backup'), 1)
})

test('while nothing changes the store is asked four times an hour, however many volumes there are', async () => {
  for (let n = 0; n < 20; n++) await set(volumeId(`app-${n}`), { ...DAILY, every: undefined, verify: undefined })
  await using _ = master()
  await pass(2 * MINUTE)
  calls.length = 0
  await pass(60 * MINUTE)
  assert.deepEqual(calls, ['versions', 'versions', 'versions', 'versions'])
})

test('of several masters exactly one makes a backup', async () => {
  await using _one = master()
  await using _two = master()
  await using _three = master()
  for (const name of ['blog', 'notes', 'shop']) await set(volumeId(name), DAILY)
  await pass(5 * MINUTE)
  for (const name of ['blog', 'notes', 'shop']) assert.equal(count(`${name} backup`), 1, name)
  await pass(3 * DAY, 10 * MINUTE)
  for (const name of ['blog', 'notes', 'shop']) assert.ok(count(`${name} backup`) <= 4, name)
})

test('what was missed while no master was there is caught up, once', async () => {
  {
    await using _ = master()
    await set(BLOG, DAILY)
    await pass(3 * MINUTE)
  }
  const before = count('blog backup')
  await clock.advance(5 * DAY)
  await using _ = master()
  await pass(3 * MINUTE)
  assert.equal(count('blog backup'), before + 1)
})

test('a backup that fails is tried again later, and is told of until then', async () => {
  await using _ = master()
  await set(BLOG, DAILY)
  failure = new ShadowError('storage-unreachable', 'the bucket does not answer')
  await pass(3 * MINUTE)
  assert.equal((await records.mustRead(BLOG)).failure?.problem.code, 'storage-unreachable')
  failure = undefined
  await pass(30 * MINUTE)
  assert.deepEqual(done, [])
  await pass(45 * MINUTE)
  assert.equal(count('blog backup'), 1)
  assert.equal((await records.mustRead(BLOG)).failure, null)
})

test('an app without data is no failure', async () => {
  await using _ = master()
  await set(BLOG, DAILY)
  failure = new ShadowError('not-found', 'blog has no data yet')
  await pass(3 * MINUTE)
  assert.equal((await records.mustRead(BLOG)).failure, null)
  failure = undefined
  await pass(16 * MINUTE)
  assert.equal(count('blog backup'), 1)
})

test('volumes are counted by their newest backup; those without a policy by the clock, or without an app, are not', async () => {
  await using schedule = master()
  const SHOP = volumeId('shop')
  await set(BLOG, DAILY)
  await set(SHOP, { ...DAILY, every: undefined })
  await pass(2 * MINUTE)
  assert.deepEqual(schedule.now().count, { current: 1, late: 0, none: 0 })
  assert(schedule.now().oldestAgeMs <= 2 * MINUTE)
  failure = new ShadowError('node-unreachable', 'it is away')
  await pass(2 * DAY + 60 * MINUTE, 15 * MINUTE)
  assert.deepEqual(schedule.now().count, { current: 0, late: 1, none: 0 })
  assert(schedule.now().oldestAgeMs > 2 * DAY)
  assert.deepEqual(
    schedule.late()?.map(({ app, everyMs, failure: last }) => [app, everyMs, last?.code]),
    [[BLOG, DAY, 'node-unreachable']],
  )
  await set(SHOP, DAILY)
  schedule.changed(SHOP)
  await pass(2 * MINUTE)
  assert.deepEqual(schedule.now().count, { current: 0, late: 1, none: 1 })
  failure = new ShadowError('app-not-found', 'it was removed')
  await pass(180 * MINUTE, 5 * MINUTE)
  assert.deepEqual(schedule.now(), { count: { current: 0, late: 0, none: 0 }, oldestAgeMs: 0 })
})
