import { rm } from 'node:fs/promises'
import { orAborted } from '../../lib/abort.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Exec, exec as execHere } from '../../lib/exec.ts'
import { type Log, noLog } from '../../lib/log.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import type { VolumeId } from '../../model/names.ts'
import { mountinfo } from '../filesystem/mountinfo.ts'
import type { BlockDriver } from './block-driver.ts'
import { imageSnapshots } from './image-snapshots.ts'
import { folderOf, IMAGE, imageOf, realFolder } from './layout.ts'
import { loopDevices } from './loop-devices.ts'
import { growImage, makeImage, USUAL_OVERCOMMIT } from './loop-image.ts'

type Options = {
  readonly folder: string
  readonly exec?: Exec
  /** How many times the room on the disk all volumes may be promised together. */
  readonly overcommit?: number | undefined
  /** So much of the disk is left free by snapshots. */
  readonly floorBytes?: number | undefined
  readonly log?: Log
}

/** Volumes as sparse files at `<folder>/<volume>/image.ext4` on a disk of this machine, each attached as a loop device. */
export function loop({
  folder,
  exec = execHere,
  overcommit = USUAL_OVERCOMMIT,
  floorBytes,
  log = noLog,
}: Options): BlockDriver {
  const root = realFolder(folder)
  const turns = new KeyedMutex<VolumeId>()
  const devices = loopDevices({ root, name: IMAGE, exec })
  const snapshots = imageSnapshots({ root, turns, exec, floorBytes })
  const wanted = async (volume: VolumeId, sizeBytes: number) => ({
    image: imageOf(await root(), volume),
    volume,
    sizeBytes,
    overcommit,
    log,
  })

  return {
    excludes: true,

    file: volume => imageOf(folder, volume),

    // The work goes on when the caller leaves: it may be what the next caller waits for.
    create: (volume, sizeBytes, format, signal, { from } = {}) =>
      orAborted(
        turns.take(volume, async () => {
          const image = await wanted(volume, sizeBytes)
          await makeImage(image, from === undefined ? { format } : { copyOf: () => snapshots.file(from), exec })
        }),
        signal,
      ),

    grow: (volume, sizeBytes, signal) =>
      orAborted(
        turns.take(volume, async () => growImage(await wanted(volume, sizeBytes), () => devices.detach(volume))),
        signal,
      ),

    growAttached: (volume, sizeBytes, signal) =>
      orAborted(
        turns.take(volume, async () => {
          await growImage(await wanted(volume, sizeBytes), () => Promise.resolve())
          return devices.resized(volume)
        }),
        signal,
      ),

    attach: (volume, signal) =>
      orAborted(
        turns.take(volume, () => devices.attach(volume)),
        signal,
      ),

    detach: volume => turns.take(volume, () => devices.detach(volume)),

    remove: volume =>
      turns.take(volume, async () => {
        const place = folderOf(await root(), volume)
        // A delete that walked into a mounted volume would empty it.
        const isMounted = (await mountinfo()).some(mount => mount.at.startsWith(`${place}/`))
        if (isMounted || (await devices.of(volume)).length > 0)
          throw new ShadowError('volume-in-use', `volume ${volume} is attached`, { hint: 'put its app to sleep first' })
        await rm(imageOf(await root(), volume), { force: true })
        await rm(place, { recursive: true, force: true })
      }),

    attached: devices.attached,
    snapshots,
  }
}
