import type { Clock } from '../../lib/clock.ts'
import { isFailure, type Problem, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { repeat } from '../../lib/repeat.ts'
import { Turns } from '../../lib/turns.ts'
import { backupDue, isPruneDue, verifyDue } from '../../model/backup-policy.ts'
import type { AppName, VolumeId } from '../../model/names.ts'
import { toMs } from '../../model/quantities.ts'
import type { AppBackups } from './app-backups.ts'
import type { BackupRecord, BackupRecords } from './records.ts'

type Parts = {
  readonly records: Pick<BackupRecords, 'read' | 'readWithVersion' | 'versions'>
  readonly backups: Pick<AppBackups, 'backUp' | 'verify' | 'prune'>
  readonly clock: Clock
  readonly log: Log
}

/** By its newest backup. `late`: that is older than two periods. */
export const BACKUP_STATES = ['current', 'late', 'none'] as const
/** The volumes that are backed up by the clock. `oldestAgeMs`: of the newest backup of each, the age of the oldest one. */
export type BackupsNow = {
  readonly count: Readonly<Record<(typeof BACKUP_STATES)[number], number>>
  readonly oldestAgeMs: number
}

/** What a master keeps of a record in memory. `due`: from when on something is to be done. */
type Known = {
  readonly etag: string
  readonly due: number
  /** How often it is backed up by the clock; undefined: never. */
  readonly everyMs: number | undefined
  readonly backupAt: number | undefined
  /** Why the last try to make a backup failed. */
  readonly failure: Pick<Problem, 'code' | 'detail'> | undefined
}

/** A volume that has no backup of the age that its policy wants. */
export type LateBackup = Pick<Known, 'backupAt' | 'failure'> & { readonly app: AppName; readonly everyMs: number }

const LOOKED_EVERY_MS = 60_000
/** The journal tells of policies that other masters have set. A list of all finds what it did not tell. */
const READ_ALL_EVERY_MS = 900_000
/** A volume that could not be looked after is left alone for so long by this master: it may have no data, or no node. */
const LEFT_ALONE_FOR_MS = 900_000
/** Runs that one master starts at a time; nodes have limits of their own. */
const AT_ONCE = 8

export type BackupSchedule = ReturnType<typeof backupSchedule>

/**
 * Backs volumes up by their policies, prunes old backups, and restores the newest ones for a test. Every master does this: the record of a
 * volume decides, by its conditional write, which of them begins a run. What was missed while no master was there is caught up.
 */
export function backupSchedule({ records, backups, clock, log }: Parts) {
  const turns = new Turns<VolumeId>(AT_ONCE)
  const known = new Map<VolumeId, Known>()
  /** Volumes whose records are to be read: what is known of them may be old. */
  const changed = new Set<VolumeId>()
  let readAllAt = Number.NEGATIVE_INFINITY
  const underWay = new Map<VolumeId, Promise<void>>()
  const leftAlone = new Map<VolumeId, number>()
  /** Volumes whose app is no more: their backups stay, and no new ones are expected. */
  const ownerless = new Set<VolumeId>()
  const ending = new AbortController()

  async function readAll(): Promise<void> {
    const at = clock.now()
    const versions = await records.versions()
    for (const volume of known.keys()) if (!versions.has(volume)) known.delete(volume)
    for (const [volume, etag] of versions) if (known.get(volume)?.etag !== etag) changed.add(volume)
    readAllAt = at
  }

  async function readChanged(): Promise<void> {
    for (const volume of [...changed]) {
      changed.delete(volume) // before the read: a change that comes meanwhile is read again
      try {
        const found = await records.readWithVersion(volume)
        if (found === undefined) known.delete(volume)
        else known.set(volume, knownOf(volume, found))
      } catch (cause) {
        changed.add(volume)
        throw cause
      }
    }
  }

  async function look(): Promise<void> {
    if (clock.now() - readAllAt >= READ_ALL_EVERY_MS) await readAll()
    await readChanged()
    for (const [volume, { due }] of known) {
      if (underWay.has(volume)) continue
      if (due > clock.wall() || (leftAlone.get(volume) ?? 0) > clock.now()) continue
      const work = turns.run(volume, () => lookAfter(volume), ending.signal).catch(cause => failed(volume, cause))
      underWay.set(
        volume,
        work.finally(() => underWay.delete(volume)),
      )
    }
  }

  async function lookAfter(volume: VolumeId): Promise<void> {
    const app = volume as string as AppName
    const { signal } = ending
    if (isBackupDue(app, await records.read(volume))) {
      // Another master may have made it since this one has read the record.
      const mustBeWanted = (now: BackupRecord): void => {
        if (!isBackupDue(app, now)) throw notDue(volume)
      }
      await backups.backUp(app, 'scheduled', signal, mustBeWanted)
      const record = await records.read(volume)
      if (record?.policy && isPruneDue(record.policy, factsOf(record), clock.wall())) await backups.prune(app, signal)
    }
    const record = await records.read(volume)
    const due = record?.policy && verifyDue(record.policy, factsOf(record))
    if (due !== undefined && due !== null && due <= clock.wall()) await backups.verify(app, signal)
    ownerless.delete(volume)
    changed.add(volume)
  }

  const isBackupDue = (app: AppName, record: BackupRecord | undefined): boolean => {
    const due = record?.policy && backupDue(app, record.policy, factsOf(record))
    return due !== undefined && due !== null && due <= clock.wall()
  }

  function failed(volume: VolumeId, cause: unknown): void {
    changed.add(volume)
    if (ending.signal.aborted || isFailure(cause, 'changed', 'volume-in-use')) return // another master does it, or a person
    leftAlone.set(volume, clock.now() + LEFT_ALONE_FOR_MS)
    if (isFailure(cause, 'app-not-found')) ownerless.add(volume)
    if (!isFailure(cause, 'not-found', 'app-not-found')) log.warn('backups not looked after', { volume, cause })
  }

  function now(): BackupsNow {
    const count = { current: 0, late: 0, none: 0 }
    let oldestAgeMs = 0
    for (const [volume, { everyMs, backupAt }] of known) {
      if (everyMs === undefined || ownerless.has(volume)) continue
      const ageMs = backupAt === undefined ? undefined : Math.max(0, clock.wall() - backupAt)
      count[ageMs === undefined ? 'none' : ageMs > 2 * everyMs ? 'late' : 'current'] += 1
      oldestAgeMs = Math.max(oldestAgeMs, ageMs ?? 0)
    }
    return { count, oldestAgeMs }
  }

  /** The volumes whose backups are late, or could not be made at all; undefined: the records were not read yet. */
  function late(): readonly LateBackup[] | undefined {
    if (readAllAt === Number.NEGATIVE_INFINITY) return undefined
    return [...known].flatMap(([volume, { everyMs, backupAt, failure }]) => {
      if (everyMs === undefined || ownerless.has(volume)) return []
      const isLate = backupAt === undefined ? failure !== undefined : clock.wall() - backupAt > 2 * everyMs
      return isLate ? { app: volume as string as AppName, everyMs, backupAt, failure } : []
    })
  }

  const repeating = repeat(clock, LOOKED_EVERY_MS, look, cause => log.warn('backups not looked at', { cause }))
  return {
    /** As the records were read last. */
    now,
    late,
    /** The record of the volume has changed, here or elsewhere. */
    changed: (volume: VolumeId): void => void changed.add(volume),
    /** Nobody knows which records have changed. */
    missed: (): void => {
      readAllAt = Number.NEGATIVE_INFINITY
    },
    async [Symbol.asyncDispose]() {
      repeating[Symbol.dispose]()
      ending.abort(new ShadowError('shutting-down', 'the master is stopping'))
      await Promise.all(underWay.values())
    },
  }
}

function knownOf(volume: VolumeId, { etag, record }: { etag: string; record: BackupRecord }): Known {
  const every = record.policy?.every
  const backupAt = factsOf(record).backupAt
  return {
    etag,
    due: dueOf(volume, record),
    everyMs: every === undefined ? undefined : toMs(every),
    backupAt: backupAt === undefined ? undefined : Date.parse(backupAt),
    failure: record.failure?.kind === 'backup' ? record.failure.problem : undefined,
  }
}

/** From when on something is to be done, in ms since the epoch. */
function dueOf(volume: VolumeId, record: BackupRecord | undefined): number {
  if (record === undefined || record.policy === null) return Number.POSITIVE_INFINITY
  const facts = factsOf(record)
  const all = [backupDue(volume as string as AppName, record.policy, facts), verifyDue(record.policy, facts)]
  return Math.min(...all.map(due => due ?? Number.POSITIVE_INFINITY))
}

const factsOf = ({ backups, verified, prunedAt, failure }: BackupRecord) => ({
  backupAt: backups[0]?.at,
  verifiedAt: verified?.at,
  prunedAt: prunedAt ?? undefined,
  failure,
})

const notDue = (volume: VolumeId): ShadowError =>
  new ShadowError('changed', `another master has backed ${volume} up meanwhile`)
