import type { Clock } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Exec } from '../../lib/exec.ts'
import { toBytes } from '../../model/quantities.ts'
import type { AppVolume, Moments } from '../snapshots/moments.ts'
import { notInPlace } from '../snapshots/volume-restores.ts'
import type { BlockDrivers, VolumeRef } from '../volumes/block-drivers.ts'

type Options = {
  readonly moments: Pick<Moments, 'find' | 'whileLeased'>
  readonly volumes: BlockDrivers
  readonly exec: Exec
  readonly clock: Clock
}

export type NewDisks = ReturnType<typeof newDisks>

/**
 * Disks of clouds that are made of backups. A cloud cannot exchange the disks of a volume by one step, so there must be none yet: then the disk
 * becomes the volume only when it has all bytes.
 */
export function newDisks({ moments, volumes, exec, clock }: Options) {
  const isFor = (ref: VolumeRef): boolean => volumes.of(ref).snapshots?.replacements === undefined

  /** Fails with `bad-input` where the storage has a disk of the volume. The caller has the lease. */
  async function mustBeMissing({ app }: AppVolume, ref: VolumeRef, signal: AbortSignal): Promise<void> {
    const driver = volumes.of(ref)
    const isMissing = await driver.attach(ref.id, signal).then(
      () => false,
      error => isFailure(error, 'not-found') || Promise.reject(error),
    )
    if (isMissing) return
    await driver.detach(ref.id)
    throw isMade(app, ref)
  }

  return {
    isFor,

    /** Fails with `bad-input` where the volume has data already. An app that is awake is left alone. */
    async mustBeNew(what: AppVolume, signal: AbortSignal): Promise<void> {
      const { instance, ref } = await moments.find(what)
      await instance.inTurn(async awake => {
        if (awake !== undefined) throw isMade(what.app, ref)
        await moments.whileLeased(ref, until => mustBeMissing(what, ref, until), signal)
      })
    },

    /** Makes the disk of the volume, with the bytes of the image. Its app sleeps meanwhile. */
    async make(what: AppVolume, image: string, signal: AbortSignal): Promise<{ kept: false; heldMs: number }> {
      const { instance, ref } = await moments.find(what)
      const size = instance.task.volume?.size
      if (size === undefined) throw new Error('the app has no volume')
      // A new disk reads as zeros: blocks of zeros need not be written.
      const fill = async (device: string): Promise<void> => {
        await exec('dd', [`if=${image}`, `of=${device}`, 'bs=1M', 'conv=sparse,notrunc,nocreat,fsync', 'status=none'])
      }
      const from = clock.now()
      await instance.whileAsleep(() =>
        moments.whileLeased(
          ref,
          async (until, epoch) => {
            await mustBeMissing(what, ref, until)
            await volumes.of(ref).create(ref.id, toBytes(size), fill, until, { epoch })
          },
          signal,
        ),
      )
      return { kept: false, heldMs: clock.now() - from }
    },
  }
}

const isMade = (app: string, ref: VolumeRef) =>
  notInPlace(ref, `restore it to another app, which is made for that: shadow restore ${app} --to ${app}-restored`)
