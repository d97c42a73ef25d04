import { stat } from 'node:fs/promises'
import { ShadowError } from '../../lib/errors.ts'
import { FROZEN_WITHIN } from '../../model/intervals.ts'
import type { AppName, VolumeId } from '../../model/names.ts'
import type { Consistency } from '../../model/snapshot.ts'
import type { Filesystem } from '../filesystem/filesystem.ts'
import { frozenTooLong } from '../filesystem/freeze.ts'
import type { Instance } from '../instance.ts'
import type { LeaseKeeper } from '../leases/lease-keeper.ts'
import type { BlockDrivers, VolumeRef } from '../volumes/block-drivers.ts'
import type { Snapshots } from '../volumes/snapshots.ts'

export type MomentParts = {
  readonly volumes: BlockDrivers
  readonly filesystem: Filesystem
  readonly leases: LeaseKeeper
  /** The plain instance of the app. */
  readonly instanceOf: (
    app: AppName,
    permit?: string,
  ) => Promise<Pick<Instance, 'task' | 'volume' | 'inTurn' | 'whileAsleep'>>
}

/** The volume of an app. */
export type AppVolume = { readonly app: AppName; readonly volume: VolumeId; readonly permit?: string | undefined }

/** How a moment was made: `frozenMs` is how long an awake app could not write. */
export type Moment<T> = { readonly value: T; readonly consistent: Consistency; readonly frozenMs: number }

const noRest = (): Promise<number> => Promise.resolve(0)

type Task<T> = (signal: AbortSignal) => Promise<T>

/** Finds moments at which nothing is written to the volume of an app: the app is asleep, or its filesystem is frozen. */
export class Moments {
  readonly #parts: MomentParts

  constructor(parts: MomentParts) {
    this.#parts = parts
  }

  /** The instance that has the volume, and its volume; fails with `changed` where the app has another volume or none. */
  async find({ app, volume, permit }: AppVolume) {
    const instance = await this.#parts.instanceOf(app, permit)
    if (instance.volume !== volume) throw new ShadowError('changed', `${app} does not have the volume ${volume}`)
    return { instance, ref: { id: volume, driver: instance.task.volume?.driver } }
  }

  /** The snapshots of the volume's driver; fails with `bad-input` where that has none. */
  snapshotsOf(ref: VolumeRef): Snapshots {
    const { snapshots } = this.#parts.volumes.of(ref)
    if (snapshots === undefined)
      throw new ShadowError('bad-input', `the driver of the volume ${ref.id} takes no snapshots`)
    return snapshots
  }

  /** Has the device get what an awake app has written so far, so that little is left to write when the filesystem is frozen. */
  settle(ref: VolumeRef): Promise<void> {
    return this.#parts.filesystem.sync(ref.id)
  }

  /** Whether the volume was made already, as far as this machine can tell without asking a cloud. */
  async hasData(ref: VolumeRef): Promise<boolean> {
    const file = this.#parts.volumes.of(ref).file?.(ref.id)
    return (
      file === undefined ||
      stat(file).then(
        () => true,
        () => false,
      )
    )
  }

  /**
   * Runs the task at such a moment. An app that is awake goes on, and one that is asleep is not woken. `rest`: about how long the task takes.
   * Fails with `freeze-too-long` where an awake app would be kept from writing for too long.
   */
  async at<T>(what: AppVolume, task: Task<T>, signal: AbortSignal, rest = noRest): Promise<Moment<T>> {
    const { instance, ref } = await this.find(what)
    return instance.inTurn(async awake => {
      signal.throwIfAborted()
      if (awake === undefined) {
        const value = await this.whileLeased(ref, task, signal)
        return { value, consistent: 'asleep', frozenMs: 0 }
      }
      if ((await rest()) > FROZEN_WITHIN) throw frozenTooLong(ref.id, FROZEN_WITHIN)
      const { value, ms } = await this.#parts.filesystem.frozen(ref.id, FROZEN_WITHIN, late =>
        task(AbortSignal.any([signal, late, ...(awake.lost === undefined ? [] : [awake.lost])])),
      )
      return { value, consistent: 'frozen', frozenMs: ms }
    })
  }

  /** Runs the task while this node has the lease of the volume, which is detached: no other node can write to it. The caller has the turn of the app. */
  async whileLeased<T>(
    ref: VolumeRef,
    task: (until: AbortSignal, epoch: number) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { volumes, leases } = this.#parts
    const driver = volumes.of(ref)
    const { lost, epoch } = await leases.take({ ...ref, ...volumes.termsOf(ref) }, signal)
    const until = lost === undefined ? signal : AbortSignal.any([signal, lost])
    try {
      // Storage that keeps no second node out may have an image that a dead node has open still: an attach replaces it by a copy.
      if (!driver.excludes && (await this.hasData(ref))) {
        await driver.attach(ref.id, until)
        await driver.detach(ref.id)
      }
      return await task(until, epoch)
    } finally {
      if (volumes.expires(ref)) await leases.release(ref.id)
    }
  }
}
