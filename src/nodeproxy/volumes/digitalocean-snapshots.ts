import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { poll } from '../../lib/poll.ts'
import { isSnapshotId, type SnapshotId, type VolumeId } from '../../model/names.ts'
import { type DigitaloceanApi, type DoDisk, type DoSnapshot, isDo } from './digitalocean-api.ts'
import { noSuchSnapshot, type SnapshotRef, type Snapshots } from './snapshots.ts'

type Parts = {
  readonly api: DigitaloceanApi
  /** The tag of this cluster. */
  readonly ours: string
  /** The disk of the volume; fails with `not-found`. */
  readonly readyOf: (volume: VolumeId) => Promise<DoDisk>
  readonly clock: Clock
  readonly log: Log
}

const SNAPSHOT_TAG = 'shadow:snapshot:'
/** So long a snapshot whose order was not answered is waited for. */
const SEEN_WITHIN_MS = 20_000

/** Snapshots of our disks, found by their tags. Of two that one name has, after lost answers, the older one counts. */
export function digitaloceanSnapshots({ api, ours, readyOf, clock, log }: Parts): Snapshots & {
  /** The snapshot; fails with `not-found`. */
  diskSnapshot(snapshot: SnapshotRef): Promise<DoSnapshot>
} {
  const tagsOf = (volume: VolumeId, id?: SnapshotId): string[] => [
    ours,
    `shadow:volume:${volume}`,
    ...(id === undefined ? [] : [`${SNAPSHOT_TAG}${id}`]),
  ]

  async function listed(volume: VolumeId, id?: SnapshotId): Promise<readonly DoSnapshot[]> {
    const wanted = tagsOf(volume, id)
    const found = (await api.snapshots()).filter(({ tags }) => wanted.every(tag => tags.includes(tag)))
    return found.sort((a, b) => a.takenAt - b.takenAt || (a.id < b.id ? -1 : 1))
  }

  async function take({ volume, id }: SnapshotRef, signal: AbortSignal): Promise<void> {
    if ((await listed(volume, id)).length > 0) return
    const disk = await readyOf(volume)
    signal.throwIfAborted()
    await api.snapshot(disk.id, { name: `${disk.name}-${id}`, tags: tagsOf(volume, id) }).catch(error => {
      // It may have been taken though the answer was lost. A second order would be a second snapshot, at another moment.
      if (!isDo(error, 'no-answer')) throw error
      return poll(
        clock,
        SEEN_WITHIN_MS,
        async () => (await listed(volume, id))[0],
        () => error,
      )
    })
    log.info('snapshot taken', { volume, snapshot: id, disk: disk.name })
  }

  async function remove({ volume, id }: SnapshotRef): Promise<void> {
    for (const one of await listed(volume, id)) {
      const order = (): Promise<void> =>
        api.deleteSnapshot(one.id).catch(error => {
          if (!isDo(error, 'not-found')) throw error
        })
      await order().catch(error => (isDo(error, 'no-answer') ? order() : Promise.reject(error)))
      log.info('snapshot deleted', { volume, snapshot: id, deleted: one.id })
    }
  }

  async function diskSnapshot(snapshot: SnapshotRef): Promise<DoSnapshot> {
    const [found] = await listed(snapshot.volume, snapshot.id)
    if (found === undefined) throw noSuchSnapshot(snapshot)
    return found
  }

  return {
    take,
    remove,
    diskSnapshot,
    // The API tells no state: what it lists counts as finished. Should it refuse to make a disk from it yet, `create` asks again.
    finish: async snapshot => void (await diskSnapshot(snapshot)),

    async of(volume) {
      const tags = (await listed(volume)).flatMap(one => one.tags.filter(tag => tag.startsWith(SNAPSHOT_TAG)))
      return [...new Set(tags)].map(tag => tag.slice(SNAPSHOT_TAG.length)).filter(isSnapshotId)
    },
  }
}
