import type { z } from 'zod'
import type { BackupsSchema } from '../../api/backup-schemas.ts'
import { RegisterSchema } from '../../api/schemas.ts'
import { orAborted } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure, ShadowError } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App, Volume } from '../../model/app.ts'
import {
  BACKUP_REASONS,
  type Backup,
  type BackupReason,
  type BackupRun,
  MOST_BACKUPS,
  shortId,
} from '../../model/backup.ts'
import type { BackupPolicy } from '../../model/backup-policy.ts'
import { type AppName, type NodeName, type SnapshotId, type VolumeId, volumeId } from '../../model/names.ts'
import { sayBytes, toBytes } from '../../model/quantities.ts'
import type { Apps } from '../apps.ts'
import { definitionOf } from '../definition.ts'
import { watchNode } from '../node-watch.ts'
import type { Nodes } from '../nodes.ts'
import type { Relay } from '../relay.ts'
import type { AppSecrets } from '../releases/app-secrets.ts'
import type { VolumeSnapshots } from '../snapshots/snapshots.ts'
import type { BackupRecord, BackupRecords } from './records.ts'
import { FILE_TYPES, type RepositoryFiles } from './repository-files.ts'
import type { BackupRuns, RunGoing } from './runs.ts'

type Parts = {
  readonly apps: Pick<Apps, 'find' | 'register' | 'takeBack'>
  readonly secrets: Pick<AppSecrets, 'values'>
  readonly records: BackupRecords
  readonly runs: BackupRuns
  readonly files: RepositoryFiles
  readonly relay: Pick<Relay, 'nodeFor'>
  readonly snapshots: Pick<VolumeSnapshots, 'keeping' | 'undo'>
  readonly nodes: Pick<Nodes, 'get'>
  readonly clock: Clock
  readonly policySet: (volume: VolumeId) => void
  /** Where restic finds the repository of a volume without Shadow. */
  readonly addressOf: (volume: VolumeId) => string
}
type Restoring = {
  readonly backup?: string | undefined
  readonly to?: AppName | undefined
  readonly undo: boolean
  readonly dryRun: boolean
  /** The name of the token of the person who restores. */
  readonly by: string
}
type Wanted = {
  readonly volume: VolumeId
  readonly kind: BackupRun
  readonly mustBeWanted?: ((now: BackupRecord) => void) | undefined
}
type Restored = { backup: Backup | null; app: AppName; ms: number; heldMs: number; kept: SnapshotId | null }

export type AppBackups = ReturnType<typeof appBackups>

/** The masters have no restic: what needs one is done by a node, for one run. */
const BY_MASTER = 'master' as NodeName

/** Backups of the volumes of apps. They go by the name of the app, which is that of its volume, and outlive both. */
export function appBackups({
  apps,
  secrets,
  records,
  runs,
  files,
  relay,
  snapshots,
  nodes,
  clock,
  addressOf,
  policySet,
}: Parts) {
  const find = async (name: AppName): Promise<App> => (await apps.find(name)).app

  /** Has the app's node do a part of a run. The node's call ends when the run is called off, or the node is gone. */
  async function onNode<T>(
    app: App,
    { volume, kind, mustBeWanted }: Wanted,
    given: AbortSignal,
    work: (node: Awaited<ReturnType<Relay['nodeFor']>>, going: RunGoing) => Promise<T>,
    change: (done: T, node: NodeName) => (now: BackupRecord) => BackupRecord,
  ): Promise<T> {
    const at = await relay.nodeFor(app)
    return runs.run({ volume, kind, node: at.node, mustBeWanted }, given, async going => {
      const gone = new AbortController()
      using _ = watchNode({ node: at.node, nodes, clock, what: 'nothing was changed' }, error => gone.abort(error))
      const signal = AbortSignal.any([going.signal, gone.signal])
      const value = await orAborted(work(at, { ...going, signal }), signal)
      return { value, change: change(value, at.node) }
    })
  }

  /** Clears what a run before this one may have left, and tells whether there is a repository. */
  async function prepare(volume: VolumeId): Promise<{ isNew: boolean }> {
    const isNew = (await files.size({ volume, type: 'config' })) === undefined
    // Files without a config are of a run that was killed while it made the repository: nothing can be read of them.
    if (isNew) await files.removeAll(volume)
    // Nobody else works with the repository now, whatever a killed run has said.
    else for await (const { name } of files.list(volume, 'locks')) await files.remove({ volume, type: 'locks', name })
    return { isNew }
  }

  const accessOf = (volume: VolumeId, { grant, record }: RunGoing) => ({
    grant,
    password: records.passwordOf(volume, record),
  })

  const chosen = (volume: VolumeId, { backups }: BackupRecord, id: string | undefined): Backup => {
    const found = id === undefined ? backups[0] : backups.find(one => one.id === id)
    if (found !== undefined) return found
    throw new ShadowError('not-found', `${volume} has no ${id === undefined ? 'backup' : `backup ${id}`}`, {
      hint: `shadow backup ls ${volume}`,
    })
  }

  async function backUp(
    name: AppName,
    why: BackupReason,
    given: AbortSignal,
    mustBeWanted?: (now: BackupRecord) => void,
  ): Promise<Backup> {
    const app = await find(name)
    const volume = volumeOf(app)
    return onNode(
      app,
      { volume, kind: 'backup', mustBeWanted },
      given,
      async ({ node, client, headers }, going) => {
        mustHaveRoom(name, going.record)
        const repository = { ...accessOf(volume, going), ...(await prepare(volume)) }
        const body = { app: name, why, repository }
        const { backup } = await client.call('backUpVolume', {
          params: { volume },
          body,
          headers,
          signal: going.signal,
        })
        return { ...backup, why, node }
      },
      made => now => ({
        ...now,
        backups: [made, ...now.backups],
        storedBytes: now.storedBytes + made.addedBytes,
      }),
    )
  }

  async function verify(name: AppName, given: AbortSignal): Promise<{ backup: Backup; ms: number }> {
    const app = await find(name)
    const volume = volumeOf(app)
    await records.mustRead(volume)
    return onNode(
      app,
      { volume, kind: 'verify' },
      given,
      async ({ client, headers }, going) => {
        const backup = chosen(volume, going.record, undefined)
        await prepare(volume)
        const body = { app: name, repository: accessOf(volume, going), backup: restored(backup) }
        const { ms } = await client.call('verifyBackup', { params: { volume }, body, headers, signal: going.signal })
        return { backup, ms }
      },
      ({ backup }) =>
        now => ({ ...now, verified: { backup: backup.id, at: new Date(clock.wall()).toISOString() } }),
    )
  }

  /** Deletes the backups that the rules do not keep. What is in the repository then is what the record lists. */
  async function prune(name: AppName, given: AbortSignal): Promise<{ removed: number; freedBytes: number }> {
    const app = await find(name)
    const volume = volumeOf(app)
    const { policy, backups, storedBytes } = await records.mustRead(volume)
    const keep = policy?.keep ?? {}
    if (Object.keys(keep).length === 0)
      throw new ShadowError('bad-input', `no rule says which backups of ${name} to keep, so none is deleted`, {
        hint: `shadow backup policy ${name} --keep-daily 7 --keep-weekly 4`,
      })
    const left = await onNode(
      app,
      { volume, kind: 'prune' },
      given,
      async ({ client, headers }, going) => {
        await prepare(volume)
        const body = { app: name, repository: accessOf(volume, going), keep }
        const { kept } = await client.call('pruneBackups', { params: { volume }, body, headers, signal: going.signal })
        return { kept, bytes: await sizeOf(volume) }
      },
      ({ kept, bytes }, node) =>
        now => ({
          ...now,
          backups: listed(kept, now.backups, node),
          storedBytes: bytes,
          prunedAt: new Date(clock.wall()).toISOString(),
        }),
    )
    const ids = new Set(left.kept.map(({ id }) => id))
    return {
      removed: backups.filter(({ id }) => !ids.has(id)).length,
      freedBytes: Math.max(0, storedBytes - left.bytes),
    }
  }

  async function sizeOf(volume: VolumeId): Promise<number> {
    let sum = 0
    for (const type of FILE_TYPES) for await (const { bytes } of files.list(volume, type)) sum += bytes
    return sum
  }

  async function restore(name: AppName, asked: Restoring, given: AbortSignal): Promise<Restored> {
    const from = name as string as VolumeId
    const { to = name, undo, dryRun, by } = asked
    if (undo) return undoRestore(to, { dryRun, by }, given)
    const backup = chosen(from, await records.mustRead(from), asked.backup)
    const { app, isNew } = await targetOf(name, to, dryRun)
    if (app === undefined) return { backup, app: to, ms: 0, heldMs: 0, kept: null }
    try {
      mustFit(app, backup)
      const volume = volumeOf(app)
      const done = await onNode(
        app,
        { volume: from, kind: 'restore' },
        given,
        async ({ node, client, headers }, going) => {
          await prepare(from)
          const body = { app: to, from, backup: restored(backup), repository: accessOf(from, going) }
          const call = { params: { volume }, headers, signal: going.signal }
          if (dryRun) return { ...(await client.call('restoreBackup', { ...call, body })), keep: null }
          const note = `before the restore of the backup ${shortId(backup)}`
          return snapshots.keeping(app, node, { by, note }, keep =>
            client.call('restoreBackup', { ...call, body: { ...body, keep } }),
          )
        },
        () => now => now,
      )
      const { ms, heldMs, keep } = done
      return { backup, app: to, ms, heldMs, kept: keep }
    } catch (error) {
      if (isNew) await apps.takeBack(app).catch(() => undefined) // the first error is told
      throw error
    }
  }

  async function undoRestore(
    name: AppName,
    asked: Pick<Restoring, 'dryRun' | 'by'>,
    signal: AbortSignal,
  ): Promise<Restored> {
    const began = clock.now()
    const { kept, heldMs = 0 } = await snapshots.undo(volumeOf(await find(name)), asked, signal)
    return { backup: null, app: name, ms: Math.round(clock.now() - began), heldMs, kept: asked.dryRun ? null : kept }
  }

  /** The app that a backup is restored to. One that is not there is made like the app that was backed up. */
  async function targetOf(name: AppName, to: AppName, dryRun: boolean): Promise<{ app?: App; isNew: boolean }> {
    try {
      return { app: await find(to), isNew: false }
    } catch (error) {
      if (to === name || !isFailure(error, 'app-not-found')) throw gone(error, name, to)
    }
    const like = await find(name).catch(error => Promise.reject(gone(error, name, to)))
    if (dryRun) return { isNew: true }
    const { domains: _, ...definition } = definitionOf(like) as { domains?: unknown }
    const { access, scale, task } = like
    const body = RegisterSchema.parse({
      ...definition,
      name: to,
      secrets: await secrets.values(like),
      ...(access && { access }),
      ...(scale && { scale }),
    })
    return { app: (await apps.register(body, { by: 'register' }, task.pinned)).app, isNew: true }
  }

  async function list(name: AppName): Promise<z.output<typeof BackupsSchema>> {
    const volume = volumeId(name)
    const { backups, storedBytes, policy, run, verified, failure } = await records.mustRead(volume)
    const isOver = run !== null && Date.parse(run.until) <= clock.wall()
    const { id: _, until: __, ...going } = run ?? { id: '', until: '' }
    return {
      volume,
      items: backups,
      storedBytes,
      policy,
      run: run === null || isOver ? null : (going as Omit<typeof run, 'id' | 'until'>),
      verified,
      failure,
    }
  }

  return {
    backUp,
    verify,
    prune,
    restore,
    list,

    /** Sets the policy of an app with a volume; null: none. */
    async setPolicy(name: AppName, policy: BackupPolicy | null): Promise<z.output<typeof BackupsSchema>> {
      const volume = volumeOf(await find(name))
      await records.change(volume, now => ({ ...now, policy }), { creates: true })
      policySet(volume)
      return list(name)
    },

    /** Backs the app up, if its policy says so before its definition changes. Fails if that fails: then the definition is not changed. */
    async beforeDeploy({ name, task }: App, signal: AbortSignal): Promise<void> {
      if (task.volume === undefined) return
      const record = await records.read(task.volume.id)
      if (record?.policy?.beforeDeploy !== true) return
      await backUp(name, 'deploy', signal).catch(error => {
        if (isFailure(error, 'not-found')) return // it has no data yet
        const { message, details } = asShadowError(error)
        throw new ShadowError('backup-failed', `${name} was not changed, since it could not be backed up: ${message}`, {
          hint: `${details.hint ?? 'try again'}; or do without: shadow backup policy ${name} --no-before-deploy`,
        })
      })
    },

    /** The volumes with what there is of their backups. */
    async withBackups(volumes: readonly Volume[]): Promise<Volume[]> {
      const versions = await records.versions()
      return mapAtMost(16, volumes, async volume => {
        const record = versions.has(volume.id) ? await records.read(volume.id) : undefined
        if (record === undefined || (record.backups.length === 0 && record.failure === null)) return volume
        const { backups, storedBytes, verified, failure } = record
        const [newest] = backups
        const facts = {
          count: backups.length,
          bytes: storedBytes,
          ...(newest && { newestAt: newest.at }),
          ...(verified && { verifiedAt: verified.at }),
          isFailing: failure !== null,
        }
        return { ...volume, backups: facts }
      })
    },

    async keyOf(name: AppName) {
      const volume = volumeId(name)
      const record = await records.mustRead(volume)
      return { password: records.passwordOf(volume, record), repository: addressOf(volume) }
    },

    /** Deletes the snapshot: its data stays until the next pruning. */
    async remove(name: AppName, id: string, signal: AbortSignal): Promise<void> {
      const volume = volumeId(name)
      const { name: file } = { name: id as never }
      chosen(volume, await records.mustRead(volume), id)
      await runs.run({ volume, kind: 'prune', node: BY_MASTER }, signal, async () => {
        await files.remove({ volume, type: 'snapshots', name: file })
        return {
          value: undefined,
          change: now => ({ ...now, backups: now.backups.filter(one => one.id !== id) }),
        }
      })
    },

    /** Deletes the repository of the volume and the key. */
    async removeAll(name: AppName, signal: AbortSignal): Promise<void> {
      const volume = volumeId(name)
      await records.mustRead(volume)
      await runs.run({ volume, kind: 'prune', node: BY_MASTER }, signal, async () => {
        await files.removeAll(volume)
        await records.remove(volume)
        return { value: undefined }
      })
    },
  }
}

type Kept = {
  readonly id: string
  readonly at: string
  readonly tags: readonly string[]
  readonly sizeBytes?: number | undefined
}

/**
 * The backups of the repository, the newest first. One that a master did not hear of, since it or its node was killed, is known by its tags;
 * without them it was made by restic alone, and nothing can compare it.
 */
function listed(kept: readonly Kept[], known: readonly Backup[], node: NodeName): Backup[] {
  const backups = kept.flatMap(({ id, at, tags, sizeBytes = 0 }): Backup[] => {
    const before = known.find(one => one.id === id)
    if (before !== undefined) return [before]
    const why = BACKUP_REASONS.find(reason => tags.includes(reason))
    const digest = tags.find(tag => tag.startsWith('digest-'))?.slice('digest-'.length)
    if (why === undefined || digest === undefined) return []
    return [{ id, at, why, node, sizeBytes, dataBytes: 0, addedBytes: 0, ms: 0, digest }]
  })
  return backups.sort((a, b) => Date.parse(b.at) - Date.parse(a.at))
}

const restored = ({ id, digest, sizeBytes, dataBytes }: Backup) => ({ backup: id, digest, sizeBytes, dataBytes })

function volumeOf({ name, task }: App): VolumeId {
  if (task.volume === undefined)
    throw new ShadowError('bad-input', `${name} has no volume, so there is nothing to back up`, {
      hint: `shadow update ${name} --volume 1GiB`,
    })
  return task.volume.id
}

function mustFit(app: App, backup: Backup): void {
  const size = app.task.volume?.size
  if (size === undefined || toBytes(size) >= backup.sizeBytes) return
  throw new ShadowError(
    'bad-input',
    `the volume of ${app.name} is to have ${size}, and the backup ${shortId(backup)} has ${sayBytes(backup.sizeBytes)}`,
    { hint: `shadow update ${app.name} --volume ${sayBytes(backup.sizeBytes)}` },
  )
}

function mustHaveRoom(name: AppName, { backups }: BackupRecord): void {
  if (backups.length < MOST_BACKUPS) return
  throw new ShadowError('bad-input', `${name} has ${backups.length} backups, and may have no more`, {
    hint: `shadow backup rm ${name} ID`,
  })
}

/** The error for an app that is not there any more, or not yet. */
function gone(error: unknown, name: AppName, to: AppName): unknown {
  if (!isFailure(error, 'app-not-found')) return error
  return new ShadowError('app-not-found', `no app is called ${to === name ? name : `${name} or ${to}`}`, {
    hint: `register an app with a volume first, then: shadow restore ${name} --to THAT_APP`,
  })
}
