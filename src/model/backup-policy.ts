import type { AppName, NodeName } from './names.ts'
import { type Duration, duration, toMs } from './quantities.ts'
import { rendezvous } from './rendezvous.ts'

/** The rules of retention, by restic's words: of each of the last N hours, days, … one backup is kept; `last`: the last N of all. */
export const KEEP_RULES = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const
export type KeepRule = (typeof KEEP_RULES)[number]
export type Keep = Readonly<Partial<Record<KeepRule, number | undefined>>>

/** When an app is backed up without being told to, and for how long backups are kept. Those that a person has asked for are always kept. */
export type BackupPolicy = {
  /** Left out: not by the clock. */
  readonly every?: Duration | undefined
  /** Whether the volume is backed up before the definition of the app changes. */
  readonly beforeDeploy: boolean
  /** Empty: all are kept. */
  readonly keep: Keep
  /** How often the newest backup is restored for a test; left out: never. */
  readonly verify?: Duration | undefined
}

export const BACKUP_DEFAULTS = {
  every: duration('1d'),
  keep: { daily: 7, weekly: 4 },
  verify: duration('7d'),
} as const

/** Nothing is done oftener than this. */
export const LEAST_EVERY_MS = 60_000

/** Old backups are pruned so often, after a backup by the clock. */
const PRUNED_EVERY_MS = 20 * 3_600_000
/** What has failed is tried again after this time at most. */
const AGAIN_AFTER_MS = 3_600_000

type Failed = { readonly kind: string; readonly at: string }
/** What has been done already. */
export type Done = {
  readonly backupAt?: string | undefined
  readonly verifiedAt?: string | undefined
  readonly prunedAt?: string | undefined
  readonly failure?: Failed | null | undefined
}

/** When the next backup by the clock is due, in ms since the epoch; undefined: never. Apps are spread over the period by their names. */
export function backupDue(app: AppName, { every }: BackupPolicy, { backupAt, failure }: Done): number | undefined {
  if (every === undefined) return undefined
  const everyMs = Math.max(toMs(every), LEAST_EVERY_MS)
  const due = backupAt === undefined ? 0 : nextBoundary(app, everyMs, Date.parse(backupAt))
  return Math.max(due, notBefore('backup', everyMs, failure))
}

/** When the next test of a backup is due; undefined: never, or there is no backup. */
export function verifyDue({ verify }: BackupPolicy, { backupAt, verifiedAt, failure }: Done): number | undefined {
  if (verify === undefined || backupAt === undefined) return undefined
  const everyMs = Math.max(toMs(verify), LEAST_EVERY_MS)
  const due = verifiedAt === undefined ? 0 : Date.parse(verifiedAt) + everyMs
  return Math.max(due, notBefore('verify', everyMs, failure))
}

/** Whether old backups are to be pruned after a backup by the clock. */
export const isPruneDue = ({ keep }: BackupPolicy, { prunedAt }: Done, wall: number): boolean =>
  Object.keys(keep).length > 0 && (prunedAt === undefined || Date.parse(prunedAt) + PRUNED_EVERY_MS <= wall)

/** The first boundary of the app's periods after that moment. One that was missed is caught up by that. */
function nextBoundary(app: AppName, everyMs: number, after: number): number {
  const offset = (rendezvous(app, 'backups' as NodeName) / 2 ** 32) * everyMs
  return Math.ceil((Math.floor((after - offset) / everyMs) + 1) * everyMs + offset)
}

function notBefore(kind: string, everyMs: number, failure: Failed | null | undefined): number {
  return failure?.kind === kind ? Date.parse(failure.at) + Math.min(AGAIN_AFTER_MS, everyMs / 4) : 0
}

/** The policy in words. */
export function sayPolicy(policy: BackupPolicy | null): string {
  if (policy === null) return 'backed up only when it is told to'
  const { every, beforeDeploy, keep, verify } = policy
  const when = [...(every === undefined ? [] : [`every ${every}`]), ...(beforeDeploy ? ['before each change'] : [])]
  const kept = KEEP_RULES.flatMap(rule => (keep[rule] === undefined ? [] : `${keep[rule]} ${rule}`))
  return [
    when.length === 0 ? 'backed up only when it is told to' : `backed up ${when.join(' and ')}`,
    kept.length === 0 ? 'all backups are kept' : `kept: ${kept.join(', ')}, and those that were asked for`,
    verify === undefined ? 'never restored for a test' : `restored for a test every ${verify}`,
  ].join('; ')
}
