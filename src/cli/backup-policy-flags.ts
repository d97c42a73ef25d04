import type { Command } from 'commander'
import { type Fault, ShadowError } from '../lib/errors.ts'
import { BACKUP_DEFAULTS, type BackupPolicy, KEEP_RULES, type Keep } from '../model/backup-policy.ts'
import { type Duration, orNever } from '../model/quantities.ts'
import { parsedFlag } from './command-options.ts'

/** Flags of `backup policy` as commander gives them. */
export type PolicyFlags = {
  readonly every?: string
  readonly verify?: string
  readonly beforeDeploy?: boolean
  readonly keepLast?: string
  readonly keepHourly?: string
  readonly keepDaily?: string
  readonly keepWeekly?: string
  readonly keepMonthly?: string
  readonly keepYearly?: string
  readonly clear?: true
}

/** Adds the flags that say when an app is backed up by itself, and which backups are kept. */
export function policyOptions(command: Command): Command {
  command
    .option(
      '--every <duration>',
      `back it up so often, such as 1d, or never; with any other flag left out: ${BACKUP_DEFAULTS.every}`,
    )
    .option('--before-deploy', 'back it up before its definition changes; the change fails if that fails')
    .option('--no-before-deploy', 'do not')
    .option(
      '--verify <duration>',
      `restore the newest backup so often for a test, or never; left out: ${BACKUP_DEFAULTS.verify}`,
    )
  for (const rule of KEEP_RULES)
    command.option(
      `--keep-${rule} <number>`,
      rule === 'last'
        ? 'keep so many of the newest; 0: no such rule'
        : `keep one of each of so many, ${rule}; 0: no such rule`,
    )
  return command.option('--clear', 'back it up only when told to; no backup is deleted')
}

/** Whether there is any of these flags. */
export const hasPolicyFlags = (flags: PolicyFlags): boolean => {
  const { every, verify, beforeDeploy, clear } = flags
  const keeps = KEEP_RULES.map(rule => flags[flagOf(rule)])
  return [every, verify, beforeDeploy, clear, ...keeps].some(flag => flag !== undefined)
}

type Rule = (typeof KEEP_RULES)[number]
const flagOf = (rule: Rule) => `keep${rule[0]?.toUpperCase()}${rule.slice(1)}` as `keep${Capitalize<Rule>}`

/** Applies the flags to the policy `before`. Fails with `bad-input`, which names every wrong flag. */
export function withPolicyFlags(flags: PolicyFlags, before: BackupPolicy | null): BackupPolicy | null {
  if (flags.clear) return null
  const faults: Fault[] = []
  const lasts = (flag: string, given: string | undefined, had: Duration | undefined): Duration | undefined => {
    if (given === undefined) return had
    const parsed = parsedFlag(flag, orNever, given, faults)
    return parsed === 'never' ? undefined : parsed
  }
  const had = before ?? { every: BACKUP_DEFAULTS.every, verify: BACKUP_DEFAULTS.verify, beforeDeploy: false }
  const givenKeep = KEEP_RULES.some(rule => flags[flagOf(rule)] !== undefined)
  const keepBefore: Keep = before?.keep ?? (givenKeep ? {} : BACKUP_DEFAULTS.keep)
  const keep = KEEP_RULES.flatMap(rule => {
    const given = flags[flagOf(rule)]
    const value = given === undefined ? keepBefore[rule] : parsedFlag(`--keep-${rule}`, count, given, faults)
    return value === undefined || value === 0 ? [] : [[rule, value] as const]
  })
  const every = lasts('--every', flags.every, had.every)
  const verify = lasts('--verify', flags.verify, had.verify)
  if (faults.length > 0) throw new ShadowError('bad-input', 'the flags are wrong', { faults })
  return {
    ...(every && { every }),
    ...(verify && { verify }),
    beforeDeploy: flags.beforeDeploy ?? had.beforeDeploy,
    keep: Object.fromEntries(keep),
  }
}

function count(text: string): number {
  const number = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN
  if (number <= 1_000) return number
  throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is not a whole number from 0 to 1000`)
}
