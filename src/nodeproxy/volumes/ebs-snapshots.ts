import type { Clock } from '../../lib/clock.ts'
import { isEc2 } from '../../lib/ec2/failures.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { poll } from '../../lib/poll.ts'
import { isSnapshotId, type SnapshotId, type VolumeId } from '../../model/names.ts'
import type { DiskSnapshot, EbsApi } from './ebs-api.ts'
import { CLUSTER_TAG, type EbsDisks, VOLUME_TAG } from './ebs-disks.ts'
import { noSuchVolume } from './loop-image.ts'
import { noSuchSnapshot, type SnapshotRef, type Snapshots } from './snapshots.ts'

type Parts = {
  readonly api: EbsApi
  readonly disks: EbsDisks
  readonly cluster: string
  readonly clock: Clock
  readonly log: Log
}

const SNAPSHOT_TAG = 'shadow:snapshot'
const VISIBLE_WITHIN_MS = 60_000
/** The first snapshot of a large disk takes long, later ones have what has changed. */
const FINISHED_WITHIN_MS = 3_600_000

/** Snapshots of our disks, found by their tags. Of two that one name has, after lost answers, the older one counts. */
export function ebsSnapshots({ api, disks, cluster, clock, log }: Parts): Snapshots & {
  /** The finished snapshot; fails with `not-found`, and with `cloud-failed` while it is not finished. */
  diskSnapshot(snapshot: SnapshotRef): Promise<DiskSnapshot>
} {
  // Lists lag behind: what this process has ordered is remembered.
  const ordered = new Map<string, DiskSnapshot>()
  const deleted = new Set<string>()

  const tagsOf = (volume: VolumeId, id?: SnapshotId): Record<string, string> => ({
    [CLUSTER_TAG]: cluster,
    [VOLUME_TAG]: volume,
    ...(id !== undefined && { [SNAPSHOT_TAG]: id }),
  })

  async function listed(volume: VolumeId, id?: SnapshotId): Promise<readonly DiskSnapshot[]> {
    const wanted = tagsOf(volume, id)
    const found = (await api.snapshots(wanted)).filter(one => !deleted.has(one.id))
    for (const { id: seen } of found) ordered.delete(seen)
    const unseen = [...ordered.values()].filter(({ tags }) =>
      Object.entries(wanted).every(([key, value]) => tags[key] === value),
    )
    return [...found, ...unseen].sort((a, b) => a.orderedAt - b.orderedAt || (a.id < b.id ? -1 : 1))
  }

  async function take({ volume, id }: SnapshotRef, signal: AbortSignal): Promise<void> {
    for (const there of await listed(volume, id)) {
      if (there.state !== 'error') return
      await discard(there)
    }
    const disk = await disks.readyOf(volume)
    if (disk === undefined) throw noSuchVolume(volume)
    signal.throwIfAborted()
    const tags = { ...tagsOf(volume, id), Name: `shadow ${cluster} ${volume} ${id}` }
    const made = await api.snapshot(disk.id, tags).catch(error => {
      // It may have been taken though the answer was lost. A second order would be a second snapshot, at another moment.
      if (!isEc2(error, 'no-answer')) throw error
      return poll(
        clock,
        VISIBLE_WITHIN_MS,
        async () => (await listed(volume, id))[0],
        () => error,
      )
    })
    ordered.set(made.id, made)
    log.info('snapshot taken', { volume, snapshot: id, disk: disk.id, made: made.id })
  }

  async function discard({ id, tags }: DiskSnapshot): Promise<void> {
    await api.deleteSnapshot(id).catch(async error => {
      const isGone = async (): Promise<boolean> => !(await api.snapshots(tags)).some(one => one.id === id)
      if (!isEc2(error, 'not-found') && !(isEc2(error, 'no-answer') && (await isGone()))) throw error
    })
    deleted.add(id)
    ordered.delete(id)
  }

  async function remove({ volume, id }: SnapshotRef): Promise<void> {
    for (const one of await listed(volume, id)) {
      await discard(one)
      log.info('snapshot deleted', { volume, snapshot: id, deleted: one.id })
    }
  }

  /** The snapshot once it is finished; undefined while it is not. */
  async function finished(snapshot: SnapshotRef): Promise<DiskSnapshot | undefined> {
    const [found] = await listed(snapshot.volume, snapshot.id)
    if (found === undefined) throw noSuchSnapshot(snapshot)
    if (found.state === 'pending') return undefined
    if (found.state === 'completed') return found
    await discard(found)
    throw notTaken(snapshot, found)
  }

  return {
    take,
    remove,

    async finish(snapshot, signal) {
      const look = async (): Promise<DiskSnapshot | undefined> => {
        signal.throwIfAborted()
        return finished(snapshot)
      }
      await poll(clock, FINISHED_WITHIN_MS, look, () => notFinished(snapshot))
    },

    async diskSnapshot(snapshot) {
      const found = await finished(snapshot)
      if (found === undefined) throw notFinished(snapshot)
      return found
    },

    async of(volume) {
      const names = (await listed(volume))
        .filter(({ state }) => state !== 'error')
        .map(({ tags }) => tags[SNAPSHOT_TAG])
      return [...new Set(names)].filter(name => name !== undefined).filter(isSnapshotId)
    },
  }
}

const notFinished = ({ volume, id }: SnapshotRef): ShadowError =>
  new ShadowError('cloud-failed', `the snapshot ${id} of volume ${volume} is not finished yet`, {
    hint: 'it goes on by itself; try again later',
    retryAfterMs: 60_000,
  })

const notTaken = ({ volume, id }: SnapshotRef, made: DiskSnapshot): ShadowError =>
  new ShadowError('cloud-failed', `EC2 could not finish ${made.id}, the snapshot ${id} of volume ${volume}`, {
    hint: 'it was deleted; take it again',
  })
