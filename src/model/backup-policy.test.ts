import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type BackupPolicy, backupDue, isPruneDue, sayPolicy, verifyDue } from './backup-policy.ts'
import { appName } from './names.ts'
import { duration } from './quantities.ts'

const DAY = 86_400_000
const DAILY: BackupPolicy = { every: duration('1d'), beforeDeploy: false, keep: { daily: 7 }, verify: duration('7d') }
const blog = appName('blog')
const at = (ms: number): string => new Date(ms).toISOString()
const NOW = Date.parse('2026-11-29T12:00:00Z')

test('an app that was never backed up is due at once, and one without a schedule never', () => {
  assert.equal(backupDue(blog, DAILY, {}), 0)
  assert.equal(backupDue(blog, { ...DAILY, every: undefined }, {}), undefined)
})

test('the next backup is due at the time of day of the app, within a day of the last one', () => {
  const first = backupDue(blog, DAILY, { backupAt: at(NOW) }) ?? 0
  assert.ok(first > NOW && first <= NOW + DAY)
  const second = backupDue(blog, DAILY, { backupAt: at(first + 5_000) }) ?? 0
  assert.equal(second, first + DAY)
  const afterTwoMissed = backupDue(blog, DAILY, { backupAt: at(NOW - 3 * DAY) }) ?? 0
  assert.ok(afterTwoMissed < NOW)
})

test('apps are spread over the day by their names', () => {
  const hours = new Set(
    Array.from({ length: 200 }, (_, n) => {
      const due = backupDue(appName(`app-${n}`), DAILY, { backupAt: at(NOW) }) ?? 0
      return Math.floor((due % DAY) / 3_600_000)
    }),
  )
  assert.equal(hours.size, 24)
})

test('what has failed is tried again within the hour, and a failure of another kind delays nothing', () => {
  const failure = { kind: 'backup', at: at(NOW) }
  assert.equal(backupDue(blog, DAILY, { failure }), NOW + 3_600_000)
  assert.equal(backupDue(blog, { ...DAILY, every: duration('1h') }, { failure }), NOW + 900_000)
  assert.equal(backupDue(blog, DAILY, { failure: { ...failure, kind: 'verify' } }), 0)
})

test('a test of the newest backup is due when the last one is older than the policy says', () => {
  assert.equal(verifyDue(DAILY, {}), undefined)
  assert.equal(verifyDue(DAILY, { backupAt: at(NOW) }), 0)
  assert.equal(verifyDue(DAILY, { backupAt: at(NOW), verifiedAt: at(NOW) }), NOW + 7 * DAY)
  assert.equal(verifyDue({ ...DAILY, verify: undefined }, { backupAt: at(NOW) }), undefined)
})

test('backups are pruned once a day, where there are rules', () => {
  assert.ok(isPruneDue(DAILY, {}, NOW))
  assert.ok(!isPruneDue(DAILY, { prunedAt: at(NOW - 3_600_000) }, NOW))
  assert.ok(isPruneDue(DAILY, { prunedAt: at(NOW - DAY) }, NOW))
  assert.ok(!isPruneDue({ ...DAILY, keep: {} }, {}, NOW))
})

test('a policy is said in words', () => {
  assert.equal(sayPolicy(null), 'backed up only when it is told to')
  assert.equal(
    sayPolicy(DAILY),
    'backed up every 1d; kept: 7 daily, and those that were asked for; restored for a test every 7d',
  )
})
