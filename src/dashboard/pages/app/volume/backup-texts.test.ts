import { expect, test } from 'vitest'
import type { BackupPolicy } from '../../../../model/backup-policy.ts'
import { duration } from '../../../../model/quantities.ts'
import { policyBody, policyCommand, policyTexts, restoreTest } from './backup-texts.ts'

const DAY = 86_400_000
const now = Date.parse('2026-11-29T00:00:00Z')
const ago = (days: number) => ({ at: new Date(now - days * DAY).toISOString() })
const policy: BackupPolicy = { every: duration('1d'), verify: duration('7d'), beforeDeploy: true, keep: { daily: 7 } }

test('a test of a backup is old after twice the time of the policy, and after 30 days without one', () => {
  expect(restoreTest(ago(13), [1], policy, now)).toBe('good')
  expect(restoreTest(ago(15), [1], policy, now)).toBe('old')
  expect(restoreTest(ago(15), [1], null, now)).toBe('good')
  expect(restoreTest(ago(31), [1], null, now)).toBe('old')
  expect(restoreTest(null, [1], policy, now)).toBe('never')
  expect(restoreTest(null, [], policy, now)).toBe('none')
})

test('the body of what is shown is the policy, and empty fields are none', () => {
  expect(policyBody(policyTexts(policy))).toEqual({ policy })
  expect(policyBody(policyTexts(null))).toEqual({ policy: null })
})

test('the command takes away what was emptied', () => {
  const before = policyTexts(policy)
  expect(policyCommand('blog', { ...before, 'policy.keep.daily': '', 'policy.keep.weekly': '4' }, before)).toBe(
    'shadow backup policy blog --every 1d --verify 7d --before-deploy --keep-daily 0 --keep-weekly 4',
  )
  expect(policyCommand('blog', policyTexts(null), before)).toBe('shadow backup policy blog --clear')
})
