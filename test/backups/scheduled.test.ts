import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { backupRecordKey } from '../../src/master/backups/records.ts'
import type { Backup } from '../../src/model/backup.ts'
import { backupDue, verifyDue } from '../../src/model/backup-policy.ts'
import { appName, type VolumeId } from '../../src/model/names.ts'
import { duration } from '../../src/model/quantities.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { resticHere } from '../../src/testing/restic.ts'
import { patiently } from '../tools/patiently.ts'
import { Shadow } from '../tools/shadow.ts'

const restic = resticHere()
const blog = appName('blog')
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start({ env: { SHADOW_RESTIC: restic ?? 'restic' } })
  // The daily backup of an app has a time of day by its name. The tests begin two hours after it, at whatever time they are run: other things
  // that are due daily, or some hours later, would otherwise fall together with that backup at some times of day.
  const now = shadow.clock.wall()
  const due = backupDue(
    blog,
    { every: duration('1d'), beforeDeploy: false, keep: {} },
    { backupAt: new Date(now).toISOString() },
  )
  shadow.clock.leap((due ?? now) + 2 * HOUR_MS - now)
  await shadow.spoken()
})
afterAll(() => shadow?.[Symbol.asyncDispose]())

async function cli(line: string): Promise<string> {
  const env = { SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken }
  const terminal = new FakeTerminal({ env, now: shadow.clock.wall() })
  assert.equal(await run(line.split(' '), terminal), 0, terminal.stderr)
  return `${terminal.stdout}${terminal.stderr}`
}

const put = async (name: string, body: string) =>
  assert.equal((await shadow.ask('blog', `/files/${name}`, { method: 'PUT', body })).status, 200)
const read = async (name: string) => (await shadow.ask('blog', `/files/${name}`)).text
const facts = () => shadow.admin.call('listBackups', { params: { app: 'blog' } })

/** When old backups were pruned last: a run of the schedule prunes them once it has made a backup. Between the two, no run is under way. */
async function prunedAt(): Promise<string | null> {
  const record = await readFile(`${shadow.data}/store/${backupRecordKey(blog as string as VolumeId)}`, 'utf8')
  return JSON.parse(record).prunedAt
}

/** Resolves when it is so; fails with the reason if what is waited for has failed: it would be tried again an hour later. */
async function untilDone(isDone: () => Promise<boolean>): Promise<void> {
  await patiently(async () => {
    const { failure, run } = await facts()
    assert.equal(failure, null)
    return run === null && (await isDone())
  })
}

/** Lets time pass until a run has begun: a call under way times out if the clock leaps on and on. */
async function passUntilBegun(ms: number, isDone: () => Promise<boolean>): Promise<void> {
  for (let left = ms; left > 0 && (await facts()).run === null && !(await isDone()); left -= 5_000)
    await shadow.pass(5_000)
}

/** Goes to a moment at which something is due, and on until it is done. `isDone`: never before that moment. */
async function goTo(due: number | undefined, isDone: () => Promise<boolean>): Promise<void> {
  assert.ok(due !== undefined)
  // No call may be under way when the clock leaps.
  shadow.clock.leap(Math.max(0, due - shadow.clock.wall() - MINUTE_MS))
  await shadow.spoken()
  assert.equal(await isDone(), false, 'not before its time')
  await passUntilBegun(2 * MINUTE_MS + 5_000, isDone)
  await untilDone(isDone)
}

/** Goes to the next backup by the policy, and until old ones are pruned. */
async function nextBackup(): Promise<Backup> {
  const { items, policy } = await facts()
  const newest = async () => (await facts()).items[0]
  const due = policy === null ? undefined : backupDue(blog, policy, { backupAt: items[0]?.at })
  const pruned = await prunedAt()
  await goTo(due, async () => (await newest())?.id !== items[0]?.id && (await prunedAt()) !== pruned)
  return (await newest()) as Backup
}

/** Goes to the next test of the newest backup. */
async function nextTest(): Promise<string | undefined> {
  const { items, policy, verified } = await facts()
  const due = policy === null ? undefined : verifyDue(policy, { backupAt: items[0]?.at, verifiedAt: verified?.at })
  await goTo(due, async () => (await facts()).verified?.at !== verified?.at)
  return (await facts()).verified?.backup
}

describe.skipIf(restic === undefined)('backups by the clock', { timeout: 600_000 }, () => {
  test('an app is backed up each day while it sleeps, old backups go by the rules, the newest is tested, and all of it is restored', async () => {
    await shadow.register('blog', { volume: { size: '64MiB' } })
    await put('day', '0')
    await shadow.sleep('blog')
    await cli('backup policy blog --every 1d --keep-daily 2 --verify 1d --before-deploy')

    // The first one is due at once, and so is the first test.
    const isVerified = async (): Promise<boolean> => (await facts()).verified !== null
    await passUntilBegun(MINUTE_MS + 5_000, isVerified)
    await untilDone(isVerified)
    const first = (await facts()).items[0]
    assert.deepEqual([first?.why, (await facts()).verified?.backup], ['scheduled', first?.id])
    const made: Backup[] = []
    for (let day = 1; day <= 3; day++) {
      await put('day', String(day))
      await shadow.sleep('blog')
      const { lastWake } = await shadow.instance('blog')
      made.push(await nextBackup())
      assert.equal(await nextTest(), made.at(-1)?.id)
      const { phase, lastWake: after } = await shadow.instance('blog')
      assert.deepEqual([phase, after], ['asleep', lastWake], 'neither a backup nor its test boots the app')
      assert.deepEqual(await shadow.containers('blog'), [])
    }
    await untilDone(async () => (await facts()).items.length === 2)
    assert.deepEqual(
      (await facts()).items.map(({ id, why }) => [id, why]),
      [made[2], made[1]].map(one => [one?.id, 'scheduled']),
      'one of each of the last two days',
    )

    const ls = await cli('volume ls')
    const { verified } = await facts()
    assert.ok(verified && shadow.clock.wall() - Date.parse(verified.at) < 10 * MINUTE_MS)
    // BACKUP and VERIFIED are ages, and neither failed.
    assert.match(ls, /blog .*\b2h\w* ago +[\d.]+(ms|s|m\w*) ago +20/, ls)
    shadow.clock.leap(5 * HOUR_MS)
    await shadow.spoken()
    assert.match(await cli('volume ls'), /blog .*\b7h\w* ago +5h\w* ago/)

    await put('day', 'before the change')
    await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { env: { RELEASE: '2' } } })
    assert.equal((await facts()).items[0]?.why, 'deploy')

    await cli(`restore blog ${made[1]?.id.slice(0, 8)} --yes`)
    assert.equal(await read('day'), '2')
    const { password, repository } = await shadow.admin.call('getBackupKey', { params: { app: 'blog' } })
    const served = `rest:${shadow.up.masterUrl.replace('//', `//admin:${shadow.up.adminToken}@`)}/v1/repositories/blog/`
    for (const at of [served, repository]) {
      const env = { ...process.env, RESTIC_PASSWORD: password }
      await promisify(execFile)(restic!, ['--no-cache', '-r', at, 'check', '--read-data'], { env })
    }
  })

  test('what a restore has replaced is listed and counted, and is gone after a day', async () => {
    await cli('backup policy blog --clear') // a day passes
    const kept = async () => (await shadow.admin.call('listVolumes', { query: {} })).items[0]?.snapshots
    const before = await kept()
    assert.equal(before?.count, 1)
    assert.ok((before?.undoBytes ?? 0) > 0 && before?.bytes === before?.undoBytes, JSON.stringify(before))
    assert.match(await cli('volume ls'), /blog .*1 \(\S+\) +\S+ ago +\S+, \S+ ago/)
    await cli('restore blog --undo --yes')
    assert.equal(await read('day'), 'before the change')
    assert.equal((await kept())?.count, 1)

    shadow.clock.leap(DAY_MS - 16 * MINUTE_MS)
    await shadow.spoken()
    assert.equal((await kept())?.count, 1)
    await shadow.pass(32 * MINUTE_MS)
    await patiently(async () => (await kept()) === undefined)
    assert.equal(await read('day'), 'before the change')
  })
})
