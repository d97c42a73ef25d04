import { z } from 'zod'
import { SnapshotSchema } from '../../api/volume-schemas.ts'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App } from '../../model/app.ts'
import type { SnapshotId, VolumeId } from '../../model/names.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'

/**
 * `until`: a master works on it until then. A record that is not ready, and that no master works on, was left by one that died. `of`: when the
 * app was registered whose volume it is of.
 */
const StoredSchema = z.object({
  snapshot: SnapshotSchema,
  until: z.iso.datetime().optional(),
  of: z.iso.datetime().optional(),
})
type Stored = { readonly snapshot: Snapshot; readonly until?: string | undefined; readonly of?: string | undefined }
type Listed = { readonly snapshot: Snapshot; readonly isUnderWay: boolean; readonly of: string | undefined }

/** A master renews its work on a record so often, and it counts as dead when it has not done so for so long. */
const RENEWED_EVERY_MS = 20_000
const DEAD_AFTER_MS = 120_000
const MOST_LISTED = 1_000

export type SnapshotRecords = ReturnType<typeof snapshotRecords>

/** The records of snapshots, in `snapshots/<volume>/<id>.json`. */
export function snapshotRecords({ storage, clock }: { storage: Storage; clock: Clock }) {
  const folderOf = (volume: VolumeId): string => `snapshots/${volume}/`
  const keyOf = (volume: VolumeId, id: SnapshotId): string => `${folderOf(volume)}${id}.json`
  const until = (): string => new Date(clock.wall() + DEAD_AFTER_MS).toISOString()

  const read = async (key: string): Promise<(Stored & { readonly etag: string }) | undefined> => {
    const stored = await storage.get(key)
    return stored && { ...(StoredSchema.parse(stored.value) as Stored), etag: stored.etag }
  }

  /** Fails with `changed` where another master has taken the record over, or removed it. */
  const change = (volume: VolumeId, id: SnapshotId, next: (now: Stored) => Stored): Promise<Snapshot> =>
    retryOnConflict(async () => {
      const now = await read(keyOf(volume, id))
      if (now === undefined) throw goneMeanwhile(volume, id)
      const then = next(now)
      await storage.update(keyOf(volume, id), then, now.etag)
      return then.snapshot
    })

  return {
    /** All records of the volume, the newest first, and whether a master works on each. */
    async all(volume: VolumeId): Promise<readonly Listed[]> {
      const keys = await storage.list(folderOf(volume), { limit: MOST_LISTED })
      const found = (await mapAtMost(16, keys, read)).flatMap(one => one ?? [])
      return found
        .map(one => ({
          snapshot: one.snapshot,
          of: one.of,
          isUnderWay: one.until !== undefined && Date.parse(one.until) > clock.wall(),
        }))
        .sort((a, b) => Date.parse(b.snapshot.takenAt) - Date.parse(a.snapshot.takenAt))
    },

    /** The ids of all volumes that have snapshots whose names begin so, with the number of their records. */
    async counts(prefix = ''): Promise<ReadonlyMap<string, number>> {
      const counts = new Map<string, number>()
      let after: string | undefined
      do {
        const keys = await storage.list('snapshots/', { after, limit: MOST_LISTED })
        for (const key of keys) {
          const [, volume = '', name = ''] = key.split('/')
          if (name.startsWith(prefix)) counts.set(volume, (counts.get(volume) ?? 0) + 1)
        }
        after = keys.length === MOST_LISTED ? keys.at(-1) : undefined
      } while (after !== undefined)
      return counts
    },

    /** Makes the record of a snapshot that this master is about to take; fails with `already-exists`. */
    async begin(snapshot: Snapshot, { createdAt }: Pick<App, 'createdAt'>): Promise<void> {
      const { volume, id } = snapshot
      await storage.create(keyOf(volume, id), { snapshot, until: until(), of: createdAt }).catch(error => {
        throw error instanceof ShadowError && error.code === 'already-exists' ? isThere(volume, id) : error
      })
    },

    /** Tells the other masters that this one works on the record, until it is disposed of. */
    working({ volume, id }: Snapshot): Disposable {
      let next: Disposable
      const again = (): void => {
        next = clock.after(RENEWED_EVERY_MS, () => {
          again()
          change(volume, id, now => ({ ...now, until: until() })).catch(() => undefined) // it is tried again
        })
      }
      again()
      return { [Symbol.dispose]: () => next[Symbol.dispose]() }
    },

    /** Takes over a record that a dead master has left; false where another one works on it by now. */
    takeOver: ({ volume, id }: Snapshot): Promise<boolean> =>
      retryOnConflict(async () => {
        const now = await read(keyOf(volume, id))
        if (now === undefined || (now.until !== undefined && Date.parse(now.until) > clock.wall())) return false
        await storage.update(keyOf(volume, id), { ...now, etag: undefined, until: until() }, now.etag)
        return true
      }),

    /** Records that the snapshot has come further. A ready one is worked on no more. */
    advance: ({ volume, id }: Snapshot, facts: Partial<Snapshot> & Pick<Snapshot, 'state'>): Promise<Snapshot> =>
      change(volume, id, ({ snapshot, of }) => ({
        snapshot: { ...snapshot, ...facts },
        of,
        ...(facts.state !== 'ready' && { until: until() }),
      })),

    remove: ({ volume, id }: Pick<Snapshot, 'volume' | 'id'>): Promise<void> => storage.remove(keyOf(volume, id)),
  }
}

const isThere = (volume: VolumeId, id: SnapshotId): ShadowError =>
  new ShadowError('already-exists', `the volume ${volume} has a snapshot ${id} already`, {
    hint: `give another name, or remove it: shadow volume rm-snapshot ${volume} ${id}`,
  })

const goneMeanwhile = (volume: VolumeId, id: SnapshotId): ShadowError =>
  new ShadowError('not-found', `the snapshot ${id} of the volume ${volume} was removed meanwhile`)
