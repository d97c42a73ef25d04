import { randomUUID } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { z } from 'zod'
import type { Clock } from '../../lib/clock.ts'
import { timestamp } from '../../lib/clock.ts'
import { readIfThere, writeWhole } from '../../lib/files.ts'
import type { Log } from '../../lib/log.ts'
import { type SnapshotId, snapshotId, type VolumeId, volumeId } from '../../model/names.ts'
import type { Consistency } from '../../model/snapshot.ts'
import { VOLUME_DRIVERS } from '../../model/task.ts'
import { sizeOf } from '../filesystem/device-size.ts'
import type { BlockDrivers, VolumeRef } from '../volumes/block-drivers.ts'
import type { BusyVolumes } from './busy-volumes.ts'
import type { AppVolume, Moments } from './moments.ts'
import { mustHaveData } from './volume-snapshots.ts'

type Options = {
  readonly moments: Moments
  readonly busy: BusyVolumes
  readonly volumes: BlockDrivers
  /** A folder for marks of views that are open. */
  readonly folder: string
  readonly clock: Clock
  readonly log: Log
}

/** The bytes of a volume as they were at one moment, to be read. Whoever has opened it disposes of it. */
export type VolumeView = AsyncDisposable & {
  /** An image with a filesystem, or a device. Only its owner reads it, and nobody writes to it. A file may have holes. */
  readonly path: string
  /** Whether `path` is a device of a disk that was made for this view, instead of a file. */
  readonly isDevice: boolean
  readonly sizeBytes: number
  /** ISO 8601. */
  readonly takenAt: string
  readonly consistent: Consistency
  /** For how long an awake app could not write. */
  readonly frozenMs: number
}

const Mark = z.object({
  volume: z.string(),
  driver: z.enum(VOLUME_DRIVERS).optional(),
  snapshot: z.string(),
  disk: z.string(),
})
type Left = { readonly ref: VolumeRef; readonly snapshot: SnapshotId; readonly disk: VolumeId; readonly mark: string }

/**
 * Opens volumes of apps for reading, for backups: as a snapshot that lasts as long as the view. The app is not woken, and goes on if it is awake.
 * A view that a killed run has left is removed at the next start.
 */
export class VolumeViews {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * The volume of an app as it is at one moment soon. Fails with `volume-in-use`, `disk-full`, `freeze-too-long`; with `not-found` for a volume
   * without data.
   */
  async open(wanted: AppVolume, signal: AbortSignal): Promise<VolumeView> {
    const { moments, busy, volumes, folder, clock } = this.#options
    const { ref } = await moments.find(wanted)
    await mustHaveData(moments, ref, wanted.app)
    const name = `view-${randomUUID()}`
    const left: Left = { ref, snapshot: snapshotId(name), disk: volumeId(name), mark: `${folder}/${name}.json` }
    const { id: volume, driver } = ref
    await writeWhole(left.mark, `${JSON.stringify({ volume, driver, snapshot: name, disk: name })}\n`)
    try {
      const snapshots = moments.snapshotsOf(ref)
      const snapshot = { volume, id: left.snapshot }
      const moment = await busy.take(volume, 'a backup of this moment', async () => {
        await moments.settle(ref)
        await using prepared = await snapshots.prepare?.(snapshot, signal)
        const take = async (until: AbortSignal): Promise<string> => {
          await snapshots.take(snapshot, until, prepared)
          return timestamp(clock)
        }
        return await moments.at(wanted, take, signal, prepared?.rest)
      })
      await snapshots.finish(snapshot, signal)
      const file = await snapshots.file?.(snapshot)
      const path = file ?? (await this.#attach(volumes, left, signal))
      return {
        path,
        isDevice: file === undefined,
        sizeBytes: await sizeOf(path),
        takenAt: moment.value,
        consistent: moment.consistent,
        frozenMs: moment.frozenMs,
        [Symbol.asyncDispose]: () => this.#dispose(left),
      }
    } catch (error) {
      await this.#dispose(left)
      throw error
    }
  }

  /** Removes what views of an earlier run have left. */
  async recover(): Promise<void> {
    const { folder, log } = this.#options
    for (const name of await readdir(folder).catch(() => [])) {
      if (!name.endsWith('.json')) continue
      const mark = `${folder}/${name}`
      try {
        const { volume, driver, snapshot, disk } = Mark.parse(JSON.parse((await readIfThere(mark)) ?? ''))
        const ref = { id: volumeId(volume), driver }
        await this.#remove({ ref, snapshot: snapshotId(snapshot), disk: volumeId(disk), mark })
      } catch (cause) {
        log.warn('view of an earlier run not removed; the next start tries again', { mark, cause })
      }
    }
  }

  /** A disk that is made from the snapshot, for storage whose snapshots are in no file. */
  async #attach(volumes: BlockDrivers, { ref, snapshot, disk }: Left, signal: AbortSignal): Promise<string> {
    const driver = volumes.of({ ...ref, id: disk })
    const format = (): Promise<void> => Promise.resolve() // it has the bytes of the snapshot
    await driver.create(disk, 0, format, signal, { from: { volume: ref.id, id: snapshot } })
    return driver.attach(disk, signal)
  }

  async #dispose(left: Left): Promise<void> {
    const { log } = this.#options
    await this.#remove(left).catch(cause =>
      log.warn('view of a volume not removed; the next start tries again', { volume: left.ref.id, cause }),
    )
  }

  async #remove({ ref, snapshot, disk, mark }: Left): Promise<void> {
    const driver = this.#options.volumes.of(ref)
    if (driver.snapshots?.file === undefined) {
      await driver.detach(disk)
      await driver.remove(disk)
    }
    await driver.snapshots?.remove({ volume: ref.id, id: snapshot })
    await rm(mark, { force: true })
  }
}
