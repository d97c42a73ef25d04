import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type InstanceId, instanceId } from '../../model/instance-id.ts'
import type { SnapshotId } from '../../model/names.ts'
import { sayMs } from '../../model/quantities.ts'
import { driverOf } from '../../model/task.ts'
import type { VolumeRef } from '../volumes/block-drivers.ts'
import type { Replacement } from '../volumes/snapshots.ts'
import type { BusyVolumes } from './busy-volumes.ts'
import type { AppVolume, Moments } from './moments.ts'

type Options = {
  readonly moments: Moments
  readonly busy: BusyVolumes
  readonly journal: (instance: InstanceId, line: string) => void
  readonly clock: Clock
  readonly log: Log
}

type Switched = AppVolume & {
  /** What the volume has now becomes a snapshot of this name. */
  readonly keep: SnapshotId
}
/** `kept` is false where the volume had no bytes; `bytes`: what the kept snapshot takes of the storage. */
type Done = { readonly kept: boolean; readonly heldMs: number; readonly bytes?: number }

/** Gives volumes other bytes, while their apps are asleep. */
export class VolumeRestores {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * Gives the volume the bytes of a snapshot. The snapshot is copied while the app goes on. Fails with `not-found`, `disk-full`,
   * `volume-in-use`, `app-stuck`.
   */
  restore(what: Switched & { readonly snapshot: SnapshotId }, signal: AbortSignal): Promise<Done> {
    const { moments, busy, journal } = this.#options
    const { app, volume, snapshot: id, keep } = what
    return busy.take(volume, `the restore of ${id}`, async () => {
      const { ref } = await moments.find(what)
      const { replacements } = moments.snapshotsOf(ref)
      if (replacements === undefined) throw notInPlace(ref, `shadow fork ${app} NAME --snapshot ${id}`)
      await using replacement = await replacements.copyOf({ volume, id }, signal)
      const done = await this.#switchTo(replacement, what, signal)
      const before = done.kept ? `; what it had is the snapshot ${keep}` : ''
      const slept = sayMs(done.heldMs)
      journal(instanceId(app), `volume restored from the snapshot ${id}, for which the app slept ${slept}${before}`)
      return done
    })
  }

  /**
   * Puts the app to sleep, and gives its volume the bytes of the replacement by one step: whoever dies at any moment, the volume has all of its
   * old bytes or all of the new ones. Requests wait meanwhile, and wake the app. Fails with `volume-in-use`, `app-stuck`.
   */
  switchTo(replacement: Pick<Replacement, 'swap'>, what: Switched, signal: AbortSignal): Promise<Done> {
    return this.#options.busy.take(what.volume, 'a restore', () => this.#switchTo(replacement, what, signal))
  }

  async #switchTo(replacement: Pick<Replacement, 'swap'>, what: Switched, signal: AbortSignal): Promise<Done> {
    const { moments, clock, log } = this.#options
    const { app, volume, keep } = what
    const { instance, ref } = await moments.find(what) // the app may have changed meanwhile
    const from = clock.now()
    return await instance.whileAsleep(async () => {
      const kept = await moments.whileLeased(
        ref,
        async until => {
          until.throwIfAborted()
          return replacement.swap(keep)
        },
        signal,
      )
      const heldMs = Math.round(clock.now() - from)
      log.info('volume restored', { app, volume, kept: kept ? keep : undefined, ms: heldMs })
      const { bytesOf } = moments.snapshotsOf(ref)
      const bytes = kept ? await bytesOf?.({ volume, id: keep }).catch(() => undefined) : undefined // the list tells it
      return { kept, heldMs, ...(bytes !== undefined && { bytes }) }
    }, 'restored')
  }
}

/** For a volume whose driver cannot give it other bytes by one step. */
export const notInPlace = (ref: VolumeRef, hint: string): ShadowError =>
  new ShadowError('bad-input', `a volume of the driver ${driverOf(ref)} is not restored in its place`, { hint })
