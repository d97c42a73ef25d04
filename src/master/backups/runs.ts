import { randomUUID } from 'node:crypto'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { asShadowError, isFailure, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { repeat } from '../../lib/repeat.ts'
import type { Seals } from '../../lib/seals.ts'
import { BACKUP_RUNS, type BackupRun, sayRun } from '../../model/backup.ts'
import { BACKUP_RUN_LASTS, BACKUP_RUN_RENEWED_EVERY } from '../../model/intervals.ts'
import type { NodeName, VolumeId } from '../../model/names.ts'
import type { Caller } from '../known-callers.ts'
import type { BackupRecord, BackupRecords } from './records.ts'

type Parts = { readonly records: BackupRecords; readonly seals: Seals; readonly clock: Clock; readonly log: Log }

/** What a run works with. */
export type RunGoing = {
  /** What the node shows with each request for a file of the repository. */
  readonly grant: string
  readonly record: BackupRecord
  /** Aborts when the caller leaves, or when the run has lost its place. */
  readonly signal: AbortSignal
}
type Named = { readonly volume: VolumeId; readonly kind: BackupRun; readonly node: NodeName }
type Wanted = Named & {
  /** Throws if the run is not wanted any more, by what the record says at the moment at which the run begins. */
  readonly mustBeWanted?: ((now: BackupRecord) => void) | undefined
}
/** What is to be changed in the record, once a run has ended well. */
type Ended<T> = { readonly value: T; readonly change?: (now: BackupRecord) => BackupRecord }

/** For so long a master trusts what it has read of a run: a file of a repository costs no read of the document then. */
const TRUSTED_FOR_MS = 2_000
const MOST_TRUSTED = 1_000

export type BackupRuns = ReturnType<typeof backupRuns>

/**
 * Runs on the repositories. A volume has one at a time, over any number of masters: the record of its backups names it, by a conditional
 * write. The master that has begun a run renews it; one that was killed loses it after `BACKUP_RUN_LASTS`. The node that does the work
 * shows a grant, signed by a master. The grant counts for as long as the record names its run, so a node that was given up writes nothing more.
 */
export function backupRuns({ records, seals, clock, log }: Parts) {
  const textOf = ({ volume, node, kind }: Named, id: string): string => `backup run ${volume} ${node} ${kind} ${id}`
  const trusted = new Map<string, number>()

  /** Takes the place of the run in the record. A restore calls off what a schedule has begun: a person waits for it. */
  const begin = async (wanted: Wanted, id: string): Promise<BackupRecord> => {
    const { volume, kind, node, mustBeWanted } = wanted
    let begun: BackupRecord | undefined
    await records.change(
      volume,
      now => {
        const { run } = now
        const isTaken = run !== null && Date.parse(run.until) > clock.wall()
        if (isTaken && !(kind === 'restore' && run.kind !== 'restore')) throw inUse(volume, run)
        mustBeWanted?.(now)
        begun = { ...now, run: { id, kind, node, since: timestamp(clock), until: untilOf() } }
        return begun
      },
      { creates: kind === 'backup' },
    )
    return begun as BackupRecord
  }

  const untilOf = (): string => new Date(clock.wall() + BACKUP_RUN_LASTS).toISOString()

  const renew = (volume: VolumeId, id: string): Promise<void> =>
    records.change(volume, now => {
      if (now.run?.id !== id) throw lostPlace(volume)
      return { ...now, run: { ...now.run, until: untilOf() } }
    })

  const end = (volume: VolumeId, id: string, change: (now: BackupRecord) => BackupRecord): Promise<void> =>
    records
      .change(volume, now => (now.run?.id === id ? change({ ...now, run: null }) : undefined))
      .catch(error => {
        if (!isFailure(error, 'not-found')) throw error // the run has removed the record
      })

  return {
    /** Does the work as a run. Fails with `volume-in-use` while there is another one; a failure of the work is kept in the record, unless it is a restore. */
    async run<T>(wanted: Wanted, given: AbortSignal, work: (going: RunGoing) => Promise<Ended<T>>): Promise<T> {
      const { volume, kind } = wanted
      const id = randomUUID()
      const record = await begin(wanted, id)
      const lost = new AbortController()
      const signal = AbortSignal.any([given, lost.signal])
      using _ = repeat(
        clock,
        BACKUP_RUN_RENEWED_EVERY,
        () => renew(volume, id),
        cause => {
          if (isFailure(cause, 'changed', 'not-found')) lost.abort(lostPlace(volume))
          else log.warn('run on backups not renewed', { volume, kind, cause })
        },
      )
      const grant = `${kind}.${id}.${seals.sign(textOf(wanted, id))}`
      try {
        const { value, change = now => now } = await work({ grant, record, signal })
        await end(volume, id, now => change({ ...now, failure: now.failure?.kind === kind ? null : now.failure }))
        return value
      } catch (error) {
        const thrown = signal.aborted ? signal.reason : error
        const { faults: _faults, ...problem } = asShadowError(thrown).toProblem()
        const failure = { kind, at: timestamp(clock), problem }
        // A volume without data is no failure of its backups, and neither is a restore, whose caller hears of it.
        const isKept = problem.code !== 'not-found' && kind !== 'restore'
        await end(volume, id, now => (isKept ? { ...now, failure } : now)).catch(cause =>
          log.warn('failure of a run on backups not kept', { volume, kind, cause }),
        )
        throw thrown
      }
    },

    /** Which run the caller works for. Fails with `forbidden` for a grant of another node or volume, and with `changed` for a run that has ended. */
    async mustBeGoing(volume: VolumeId, caller: Caller, grant: string | undefined): Promise<BackupRun> {
      const [kind, id = '', ...signature] = (grant ?? '').split('.')
      const known = BACKUP_RUNS.find(one => one === kind)
      const wanted = known && { volume, kind: known, node: caller.name as NodeName }
      if (wanted === undefined || !seals.verify(textOf(wanted, id), signature.join('.')))
        throw new ShadowError('forbidden', `no master has let ${caller.name} use the backups of ${volume} now`)
      if ((trusted.get(id) ?? 0) > clock.now()) return wanted.kind
      const record = await records.read(volume)
      if (record?.run?.id !== id) throw lostPlace(volume)
      if (trusted.size >= MOST_TRUSTED) trusted.clear()
      trusted.set(id, clock.now() + TRUSTED_FOR_MS)
      return wanted.kind
    },
  }
}

const lostPlace = (volume: VolumeId): ShadowError =>
  new ShadowError('changed', `what was done with the backups of ${volume} was called off`, {
    hint: 'a restore came in between, or its master was away for too long: try again',
  })

const inUse = (volume: VolumeId, { kind, node, since }: NonNullable<BackupRecord['run']>): ShadowError =>
  new ShadowError('volume-in-use', `${volume} is being ${sayRun(kind)} on ${node} since ${since}`, {
    hint: `see how it goes: shadow backup ls ${volume}`,
    retryAfterMs: 5_000,
  })
