import { isFailure } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import { type Backup, sayRun } from '../../model/backup.ts'
import type { AppName } from '../../model/names.ts'
import type { Made } from '../../model/release.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { type AppEvent, EVENT_KINDS, type EventKind } from '../../model/timeline.ts'
import type { AppBackups } from '../backups/app-backups.ts'
import type { History, Kept } from '../history.ts'
import type { SnapshotRecords } from '../snapshots/records.ts'
import type { OwnEvents } from './own-events.ts'

export type MasterEventParts = {
  readonly history: Pick<History, 'list'>
  readonly snapshots: Pick<SnapshotRecords, 'all'>
  readonly backups: Pick<AppBackups, 'list'>
  readonly own: Pick<OwnEvents, 'list'>
}

type Listed = Awaited<ReturnType<AppBackups['list']>>

/**
 * The events of an app that masters know of, in no order: its releases, snapshots and backups that are kept, its restores and its moves. `kinds`: the wanted
 * ones, so that documents with none of them are not read.
 */
export async function masterEvents(
  { history, snapshots, backups, own }: MasterEventParts,
  app: App,
  kinds: readonly EventKind[] = EVENT_KINDS,
): Promise<readonly AppEvent[]> {
  const volume = app.task.volume?.id
  const wants = (...some: EventKind[]): boolean => some.some(kind => kinds.includes(kind))
  const [releases, taken, made, others] = await Promise.all([
    wants('deploy', 'rollback', 'update') ? history.list(app) : [],
    volume !== undefined && wants('snapshot') ? snapshots.all(volume) : [],
    wants('backup', 'problem') ? backupsOf(backups, app.name) : [],
    wants('restore', 'move') ? own.list(app.name) : [],
  ])
  return [
    ...releases.map(releaseEvent),
    ...taken.flatMap(({ snapshot }) => (snapshot.state === 'ready' ? snapshotEvent(snapshot) : [])),
    ...made,
    ...others,
  ]
    .filter(({ kind }) => wants(kind))
    .map(event => (event.by === undefined ? event : { ...event, by: withoutFile(event.by) }))
}

/** The token that a master makes for its own machine is named by its file. */
const withoutFile = (by: string): string => by.replace(/ of \/.*$/, '')

/** The backups of an app, and the failure of its last run; none where it never had one. */
async function backupsOf(backups: MasterEventParts['backups'], app: AppName): Promise<readonly AppEvent[]> {
  try {
    const { items, failure } = await backups.list(app)
    // A restore that failed is recorded with other restores.
    const failed = failure === null || failure.kind === 'restore' ? [] : [failedRun(failure)]
    return [...items.map(backupEvent), ...failed]
  } catch (error) {
    if (isFailure(error, 'not-found')) return []
    throw error
  }
}

const failedRun = ({ kind, at, problem: { code, detail } }: NonNullable<Listed['failure']>): AppEvent => ({
  id: `backup.failed.${at}`,
  at,
  kind: kind === 'backup' ? 'backup' : 'problem',
  outcome: 'failed',
  code,
  detail: kind === 'backup' ? detail : `backups were not ${sayRun(kind)}: ${detail}`,
})

const KIND_OF: Readonly<Record<Made['by'], EventKind>> = {
  register: 'deploy',
  deploy: 'deploy',
  rollback: 'rollback',
  update: 'update',
  secrets: 'update',
}

function releaseEvent({ task: { revision, createdAt, made }, outcome }: Kept): AppEvent {
  const went = made?.to === undefined ? undefined : `to release ${made.to}`
  const what = made?.by === 'secrets' ? 'secrets' : went
  const detail = [what, made?.note].filter(Boolean).join(': ')
  return {
    id: `release.${String(revision).padStart(8, '0')}`,
    at: createdAt,
    kind: made === undefined ? (revision === 1 ? 'deploy' : 'update') : KIND_OF[made.by],
    revision,
    ...(made?.who !== undefined && { by: made.who }),
    ...(outcome !== undefined && { outcome: outcome === 'ready' ? ('ok' as const) : ('failed' as const) }),
    ...(detail !== '' && { detail }),
  }
}

const snapshotEvent = ({ id, takenAt, by, reason, note, node, frozenMs }: Snapshot): AppEvent => ({
  id: `snapshot.${id}`,
  at: takenAt,
  kind: 'snapshot',
  by: reason === 'app' ? 'the app' : by,
  outcome: 'ok',
  detail: note === undefined ? id : `${id}: ${note}`,
  ...(node !== undefined && { node }),
  ...(frozenMs !== undefined && { ms: frozenMs }),
})

const BACKED_UP_BY: Readonly<Record<Backup['why'], string>> = {
  asked: 'a person who asked',
  scheduled: 'the schedule of the app',
  deploy: 'a change of the definition',
}

const backupEvent = ({ id, at, why, node, ms, addedBytes }: Backup): AppEvent => ({
  id: `backup.${id}`,
  at,
  kind: 'backup',
  node,
  by: BACKED_UP_BY[why],
  outcome: 'ok',
  ms,
  detail: `${id.slice(0, 8)}, ${Math.round(addedBytes / 1_000)} kB added`,
})
