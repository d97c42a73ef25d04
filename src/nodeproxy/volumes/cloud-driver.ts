import { orAborted } from '../../lib/abort.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import type { VolumeId } from '../../model/names.ts'
import type { BlockDriver, Creation, Device, Format } from './block-driver.ts'
import { inTurns, type Snapshots } from './snapshots.ts'

/** What a driver of a cloud does with its disks. Nothing here takes turns, or may be left by its caller. */
type Deeds = {
  create(volume: VolumeId, sizeBytes: number, format: Format, creation: Creation): Promise<void>
  grow(volume: VolumeId, sizeBytes: number): Promise<void>
  attach(volume: VolumeId): Promise<Device>
  detach(volume: VolumeId): Promise<void>
  remove(volume: VolumeId): Promise<void>
  attached: BlockDriver['attached']
  readonly snapshots: Snapshots
}

/** The driver that has this done: one call at a time for each volume, with failures of the cloud `asFailure` of what was to be done. */
export function cloudDriver(
  zone: string,
  deeds: Deeds,
  asFailure: (error: unknown, what: string) => unknown,
): BlockDriver {
  const turns = new KeyedMutex<VolumeId>()
  const failing = <T>(what: string, work: Promise<T>): Promise<T> =>
    work.catch(error => {
      throw asFailure(error, what)
    })
  /** Takes a turn of the volume. The work goes on when the caller leaves: it may be what the next caller waits for. */
  const turn = <T>(volume: VolumeId, what: string, work: () => Promise<T>): Promise<T> =>
    turns.take(volume, () => failing(`${what} volume ${volume}`, work()))

  return {
    excludes: true,
    zone,
    create: (volume, sizeBytes, format, signal, creation = {}) =>
      orAborted(
        turn(volume, 'make', () => deeds.create(volume, sizeBytes, format, creation)),
        signal,
      ),
    grow: (volume, sizeBytes, signal) =>
      orAborted(
        turn(volume, 'grow', () => deeds.grow(volume, sizeBytes)),
        signal,
      ),
    attach: (volume, signal) =>
      orAborted(
        turn(volume, 'attach', () => deeds.attach(volume)),
        signal,
      ),
    detach: volume => turn(volume, 'detach', () => deeds.detach(volume)),
    remove: volume => turn(volume, 'remove', () => deeds.remove(volume)),
    snapshots: inTurns(deeds.snapshots, turn, failing),
    attached: () => failing('list the attached volumes', deeds.attached()),
  }
}
