import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import { instanceId } from '../../model/instance-id.ts'
import type { AppName, SnapshotId } from '../../model/names.ts'
import { sayMs } from '../../model/quantities.ts'
import type { Consistency } from '../../model/snapshot.ts'
import type { VolumeRef } from '../volumes/block-drivers.ts'
import type { BusyVolumes } from './busy-volumes.ts'
import type { AppVolume, Moments } from './moments.ts'

type Options = {
  readonly moments: Moments
  readonly busy: BusyVolumes
  /** Adds a line to the log of the app. */
  readonly journal: (instance: InstanceId, line: string) => void
  readonly log: Log
}

/** A snapshot of the volume of an app. */
type Wanted = AppVolume & { readonly id: SnapshotId }
type Taken = { readonly consistent: Consistency; readonly frozenMs: number; readonly bytes?: number }

/** The snapshots of volumes that this node reaches, for the master, which keeps their records. */
export class VolumeSnapshots {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * Takes a snapshot, without waking the app or putting it to sleep. What may be copied beforehand is copied while the app goes on. A call that
   * fails leaves none. Fails with `volume-in-use`, `disk-full`, `freeze-too-long`; with `not-found` for a volume without data.
   */
  take(wanted: Wanted, signal: AbortSignal): Promise<Taken> {
    const { moments, busy, journal, log } = this.#options
    const { app, volume, id } = wanted
    return busy.take(volume, `the snapshot ${id}`, async () => {
      const { ref } = await moments.find(wanted)
      const snapshots = moments.snapshotsOf(ref)
      await mustHaveData(moments, ref, app)
      const snapshot = { volume, id }
      await moments.settle(ref)
      await using prepared = await snapshots.prepare?.(snapshot, signal)
      const take = (until: AbortSignal): Promise<void> => snapshots.take(snapshot, until, prepared)
      try {
        const { consistent, frozenMs } = await moments.at(wanted, take, signal, prepared?.rest)
        const bytes = await snapshots.bytesOf?.(snapshot)
        log.info('snapshot taken', { app, volume, snapshot: id, consistent, ms: frozenMs })
        journal(instanceId(app), `snapshot ${id} of the volume: ${sayMoment(consistent, frozenMs)}`)
        return { consistent, frozenMs, ...(bytes !== undefined && { bytes }) }
      } catch (error) {
        await snapshots
          .remove(snapshot)
          .catch(cause => log.warn('snapshot that failed not removed', { volume, snapshot: id, cause }))
        throw error
      }
    })
  }

  /** Waits until the storage has all bytes of the snapshot. Fails with `not-found`, `cloud-failed`. */
  finish(ref: VolumeRef, id: SnapshotId, signal: AbortSignal): Promise<void> {
    return this.#options.moments.snapshotsOf(ref).finish({ volume: ref.id, id }, signal)
  }

  /** Deletes a snapshot; one that is not there is success. Fails with `volume-in-use`. */
  remove(ref: VolumeRef, id: SnapshotId): Promise<void> {
    const { moments, busy } = this.#options
    return busy.take(ref.id, `the removal of the snapshot ${id}`, () =>
      moments.snapshotsOf(ref).remove({ volume: ref.id, id }),
    )
  }

  /** The snapshots that are there, with what they take of the storage where it tells. */
  async of(ref: VolumeRef): Promise<readonly { id: SnapshotId; bytes?: number }[]> {
    const snapshots = this.#options.moments.snapshotsOf(ref)
    return Promise.all(
      (await snapshots.of(ref.id)).map(async id => {
        const bytes = await snapshots.bytesOf?.({ volume: ref.id, id })
        return { id, ...(bytes !== undefined && { bytes }) }
      }),
    )
  }
}

/** Fails with `not-found` where the volume is in a file that is not there: the app was never woken. */
export async function mustHaveData(moments: Moments, ref: VolumeRef, app: AppName): Promise<void> {
  if (await moments.hasData(ref)) return
  throw new ShadowError('not-found', `${app} has no data yet: its first wake makes its volume`, {
    hint: `shadow wake ${app}`,
  })
}

const sayMoment = (consistent: Consistency, frozenMs: number): string =>
  consistent === 'asleep' ? 'the app was asleep' : `writes waited for ${sayMs(frozenMs)}`
