import type { Clock } from '../../lib/clock.ts'
import { timestamp } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App, Volume } from '../../model/app.ts'
import { type AppName, type SnapshotId, snapshotId, type VolumeId } from '../../model/names.ts'
import {
  MOST_SNAPSHOTS,
  RESTORE_PREFIX,
  RESTORES_KEPT,
  type Snapshot,
  type SnapshotReason,
  snapshotNameAt,
} from '../../model/snapshot.ts'
import { driverOf } from '../../model/task.ts'
import type { Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import type { SnapshotRecords } from './records.ts'

type Parts = {
  readonly apps: Pick<Records, 'read'>
  readonly records: SnapshotRecords
  readonly relay: Pick<Relay, 'atVolume' | 'nodeClient' | 'nodeWithDriver'>
  readonly clock: Clock
  readonly log: Log
}
type Asked = {
  readonly name?: SnapshotId | undefined
  readonly note?: string | undefined
  readonly keep?: number | undefined
  readonly by: string
  readonly reason?: SnapshotReason | undefined
}

/** What a node tells of what a volume had before it got other bytes. */
type Kept = { readonly kept: boolean; readonly bytes?: number | undefined }
type RestoreDone = {
  restored: boolean
  snapshot: Snapshot
  kept: SnapshotId | null
  heldMs?: number
}

/** For so long a list waits for a node that may know whether a snapshot is stored by now. */
const ASKED_WITHIN_MS = 2_000

export type VolumeSnapshots = ReturnType<typeof volumeSnapshots>

/**
 * Snapshots of volumes. A node takes them; the record is made before that, and says that the snapshot is ready only when its storage has all
 * of it. So whoever dies in between leaves a record that is never offered, and the next call about the volume removes it with what it stands for.
 */
export function volumeSnapshots({ apps, records, relay, clock, log }: Parts) {
  /** The app that has the volume, with its volume. */
  const appOf = async (volume: VolumeId): Promise<App> => {
    const record = await apps.read(volume as string as AppName)
    if (record.state !== 'live') throw new ShadowError('app-not-found', `no app is called ${volume}`)
    if (record.app.task.volume?.id !== volume) throw new ShadowError('not-found', `${volume} has no volume`)
    return record.app
  }

  /** A client of a node that reaches the snapshot; undefined where its node was removed, and the snapshot with it. */
  const clientFor = async (snapshot: Snapshot) => {
    if (snapshot.node !== undefined) return relay.nodeClient(snapshot.node)
    return relay.nodeClient(await relay.nodeWithDriver(driverOf(snapshot), snapshot.volume))
  }

  const queryOf = ({ driver }: Snapshot) => (driver === undefined ? {} : { driver })
  const paramsOf = ({ volume, id }: Snapshot) => ({ volume, snapshot: id })
  const never = (): AbortSignal => new AbortController().signal

  const removeBytes = async (snapshot: Snapshot): Promise<void> => {
    const client = await clientFor(snapshot)
    await client?.call('removeSnapshot', { params: paramsOf(snapshot), query: queryOf(snapshot), signal: never() })
  }

  /**
   * Ends what was begun and did not come to its end. What a restore has kept counts, if the restore came so far; anything else is removed.
   * Fails where the node does not answer: the record stays, and the next call tries again.
   */
  const settle = async (snapshot: Snapshot): Promise<Snapshot | undefined> => {
    if (snapshot.reason === 'restore') {
      const client = await clientFor(snapshot)
      const asked = { params: { volume: snapshot.volume }, query: queryOf(snapshot) }
      const there = (await client?.call('listSnapshots', asked))?.items.find(({ id }) => id === snapshot.id)
      if (there !== undefined)
        return records.advance(snapshot, { state: 'ready', consistent: 'asleep', frozenMs: 0, bytes: there.bytes })
    }
    await removeBytes(snapshot)
    await records.remove(snapshot)
    return undefined
  }

  /** Settles after a failure. The failure is what the caller hears of. */
  const settleAfter = (snapshot: Snapshot): Promise<unknown> =>
    settle(snapshot).catch(cause =>
      log.warn('snapshot that failed not removed; the next call about the volume tries again', {
        volume: snapshot.volume,
        snapshot: snapshot.id,
        cause,
      }),
    )

  /** The snapshots of the volume that are there, the newest first. What dead masters have left is settled on the way. */
  const list = async (volume: VolumeId): Promise<readonly Snapshot[]> => {
    const found: Snapshot[] = []
    for (const { snapshot, isUnderWay } of await records.all(volume)) {
      if (snapshot.state === 'ready') found.push(snapshot)
      else if (snapshot.state === 'storing')
        found.push(await stored(snapshot, AbortSignal.timeout(ASKED_WITHIN_MS)).catch(() => snapshot))
      else if (!isUnderWay && (await records.takeOver(snapshot))) {
        const kept = await settleAfter(snapshot)
        if (kept !== undefined) found.push(kept as Snapshot)
      }
    }
    return found
  }

  /** The snapshot once its storage has all of it. */
  const stored = async (snapshot: Snapshot, signal: AbortSignal): Promise<Snapshot> => {
    try {
      const client = await clientFor(snapshot)
      await client?.call('finishSnapshot', { params: paramsOf(snapshot), query: queryOf(snapshot), signal })
    } catch (error) {
      // The storage could not finish it.
      if (isFailure(error, 'not-found')) await records.remove(snapshot)
      throw error
    }
    return records.advance(snapshot, { state: 'ready' })
  }

  const get = async (volume: VolumeId, id: SnapshotId): Promise<Snapshot> => {
    const all = await list(volume)
    const found = all.find(one => one.id === id)
    if (found !== undefined) return found
    throw new ShadowError('not-found', `the volume ${volume} has no snapshot ${id}`, {
      hint: all.length === 0 ? `shadow volume snapshot ${volume}` : `shadow volume snapshots ${volume}`,
    })
  }

  /** The snapshot, which can be used: its storage has all of it. */
  const usable = async (volume: VolumeId, id: SnapshotId, signal: AbortSignal): Promise<Snapshot> => {
    const snapshot = await get(volume, id)
    return snapshot.state === 'ready' ? snapshot : stored(snapshot, signal)
  }

  const remove = async (snapshot: Snapshot): Promise<void> => {
    await removeBytes(snapshot)
    await records.remove(snapshot)
    log.info('snapshot removed', { volume: snapshot.volume, snapshot: snapshot.id })
  }

  /** Removes the oldest, so that at most so many are left. A failure is left for the next time. */
  const prune = async (snapshots: readonly Snapshot[], keep: number): Promise<void> => {
    for (const snapshot of snapshots.slice(keep))
      await remove(snapshot).catch(cause =>
        log.warn('old snapshot not removed', { volume: snapshot.volume, snapshot: snapshot.id, cause }),
      )
  }

  /** The record of a snapshot of the app's volume, which is about to be taken on this node. */
  const recordOf = (
    app: App,
    node: Snapshot['node'],
    id: SnapshotId,
    { by, note, reason = 'asked' }: Asked,
  ): Snapshot => {
    const { volume } = app.task
    if (volume === undefined) throw new Error('the app has no volume')
    return {
      id,
      volume: volume.id,
      app: app.name,
      state: 'taking',
      reason,
      by,
      ...(note !== undefined && { note }),
      takenAt: timestamp(clock),
      ...(volume.driver !== undefined && { driver: volume.driver }),
      ...(driverOf(volume) === 'loop' && node !== undefined && { node }),
      size: volume.size,
    }
  }

  /** A name of the time that no snapshot has. */
  const nameNow = (taken: readonly Snapshot[], prefix = ''): SnapshotId => {
    const name = `${prefix}${snapshotNameAt(new Date(clock.wall()))}`
    const isTaken = (wanted: string): boolean => taken.some(({ id }) => id === wanted)
    for (let n = 1; ; n++) {
      const wanted = n === 1 ? name : `${name}-${n}`
      if (!isTaken(wanted)) return snapshotId(wanted)
    }
  }

  const take = async (volume: VolumeId, asked: Asked, signal: AbortSignal): Promise<Snapshot> => {
    const app = await appOf(volume)
    const before = await list(volume)
    const isOfApp = asked.reason === 'app'
    const counted = before.filter(({ reason }) =>
      isOfApp ? reason === 'app' : reason !== 'restore' && reason !== 'app',
    )
    if (counted.length >= MOST_SNAPSHOTS && asked.keep === undefined) throw full(volume, counted.length)
    const { node, client, headers } = await relay.atVolume(app)
    const record = recordOf(app, node, asked.name ?? nameNow(before), asked)
    await records.begin(record, app)
    let taken: Snapshot
    {
      using _ = records.working(record)
      try {
        const params = paramsOf(record)
        const facts = await client.call('takeSnapshot', { params, query: { app: app.name }, headers, signal })
        taken = await records.advance(record, { ...facts, state: 'storing', takenAt: timestamp(clock) })
      } catch (error) {
        await settleAfter(record)
        throw error
      }
      taken = await stored(taken, signal)
    }
    if (asked.keep !== undefined) await prune([taken, ...counted], asked.keep)
    return taken
  }

  /**
   * Has `work` give the volume of the app other bytes; what the volume has becomes the snapshot that `work` is told the name of. The newest of
   * these are kept. A failure leaves the volume as it is, and no snapshot.
   */
  const keeping = async <T extends Kept>(
    app: App,
    node: Snapshot['node'],
    { by, note }: { by: string; note: string },
    work: (keep: SnapshotId) => Promise<T>,
  ): Promise<T & { readonly keep: SnapshotId | null }> => {
    const volume = app.task.volume?.id ?? (app.name as string as VolumeId)
    const before = await list(volume)
    const record = recordOf(app, node, nameNow(before, RESTORE_PREFIX), { by, note, reason: 'restore' })
    await records.begin(record, app)
    using _ = records.working(record)
    try {
      const done = await work(record.id)
      const { kept, bytes } = done
      const facts = { state: 'ready', consistent: 'asleep', frozenMs: 0, bytes, takenAt: timestamp(clock) } as const
      const left = kept ? await records.advance(record, facts) : await records.remove(record)
      const earlier = before.filter(({ reason }) => reason === 'restore')
      if (left !== undefined) await prune([left, ...earlier], RESTORES_KEPT)
      return { ...done, keep: kept ? record.id : null }
    } catch (error) {
      await settleAfter(record)
      throw error
    }
  }

  const restore = async (
    volume: VolumeId,
    id: SnapshotId,
    { by, dryRun }: { by: string; dryRun: boolean },
    signal: AbortSignal,
  ): Promise<RestoreDone> => {
    const app = await appOf(volume)
    const snapshot = await usable(volume, id, signal)
    const { node, client, headers } = await relay.atVolume(app)
    mustSuit(app, snapshot, node)
    if (dryRun) return { restored: false, snapshot, kept: nameNow(await list(volume), RESTORE_PREFIX) }
    const { keep, heldMs } = await keeping(app, node, { by, note: `before the restore of ${id}` }, name =>
      client.call('restoreVolume', {
        params: { volume },
        body: { app: app.name, snapshot: id, keep: name },
        headers,
        signal,
      }),
    )
    log.info('volume restored', { volume, snapshot: id, by })
    return { restored: true, snapshot, kept: keep, heldMs }
  }

  return {
    list,
    take,
    usable,

    async remove(volume: VolumeId, id: SnapshotId, { dryRun }: { dryRun: boolean }): Promise<Snapshot> {
      const snapshot = await get(volume, id)
      if (!dryRun) await remove(snapshot)
      return snapshot
    },

    /** Removes all snapshots of a volume that is gone for good, but those of an app that was registered after `upTo`. */
    async removeAll(volume: VolumeId, upTo: string): Promise<void> {
      const all = await records.all(volume)
      await prune(
        all.flatMap(({ snapshot, of }) => (of === undefined || of <= upTo ? snapshot : [])),
        0,
      )
    },

    /** The volumes with what there is of their snapshots. */
    async withSnapshots(volumes: readonly Volume[]): Promise<Volume[]> {
      const counts = await records.counts()
      return mapAtMost(16, volumes, async volume => {
        if (!counts.has(volume.id)) return volume
        const found = (await records.all(volume.id)).flatMap(({ snapshot }) =>
          snapshot.state === 'taking' ? [] : snapshot,
        )
        const [newest] = found
        if (newest === undefined) return volume
        const [undo] = found.filter(({ reason }) => reason === 'restore')
        const facts = {
          count: found.length,
          bytes: bytesOf(found),
          newestAt: newest.takenAt,
          ...(undo && { undoAt: undo.takenAt, undoBytes: bytesOf(found.filter(({ reason }) => reason === 'restore')) }),
        }
        return { ...volume, snapshots: facts }
      })
    },

    restore,
    keeping,

    /** Gives the volume the bytes from before its last restore again, and keeps those that it has. Fails with `not-found`. */
    async undo(volume: VolumeId, asked: { by: string; dryRun: boolean }, signal: AbortSignal): Promise<RestoreDone> {
      const newest = (await list(volume)).find(({ reason, state }) => reason === 'restore' && state === 'ready')
      if (newest === undefined)
        throw new ShadowError('not-found', `nothing is kept of ${volume} from before a restore`, {
          hint: `shadow backup ls ${volume}`,
        })
      const done = await restore(volume, newest.id, asked, signal)
      // Its bytes are those of the volume now: the next undo goes back from there.
      if (done.restored)
        await remove(newest).catch(cause => log.warn('snapshot that was restored not removed', { volume, cause }))
      return done
    },

    /** Removes what restores have kept for longer than this. */
    async expire(keptForMs: number): Promise<void> {
      for (const volume of (await records.counts(RESTORE_PREFIX)).keys())
        for (const { snapshot } of await records.all(volume as VolumeId)) {
          if (snapshot.reason !== 'restore' || snapshot.state !== 'ready') continue
          if (Date.parse(snapshot.takenAt) + keptForMs > clock.wall()) continue
          await remove(snapshot).catch(cause =>
            log.warn('what a restore has replaced not removed; it is tried again', { volume, cause }),
          )
        }
    },
  }
}

const bytesOf = (snapshots: readonly Snapshot[]): number => snapshots.reduce((sum, { bytes = 0 }) => sum + bytes, 0)

/** Fails where the app's volume cannot have the bytes of the snapshot. */
function mustSuit({ name, task }: App, snapshot: Snapshot, node: Snapshot['node']): void {
  if (task.volume !== undefined && driverOf(task.volume) !== driverOf(snapshot))
    throw new ShadowError(
      'bad-input',
      `the snapshot ${snapshot.id} is one of the driver ${driverOf(snapshot)}, and the volume of ${name} one of ${driverOf(task.volume)}`,
    )
  if (snapshot.node !== undefined && node !== undefined && snapshot.node !== node)
    throw new ShadowError(
      'volume-elsewhere',
      `the snapshot ${snapshot.id} is on the disk of ${snapshot.node}, and the volume of ${name} on the one of ${node}`,
      { hint: `shadow move ${name} --to ${snapshot.node}`, facts: { node: snapshot.node } },
    )
}

const full = (volume: VolumeId, count: number): ShadowError =>
  new ShadowError('snapshots-full', `the volume ${volume} has ${count} snapshots, and ${MOST_SNAPSHOTS} at most`, {
    hint: `remove some: shadow volume rm-snapshot ${volume} NAME; or let the oldest go: shadow volume snapshot ${volume} --keep 10`,
  })
