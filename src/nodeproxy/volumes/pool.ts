import { rm } from 'node:fs/promises'
import { orAborted } from '../../lib/abort.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Exec, exec as execHere } from '../../lib/exec.ts'
import { type Log, noLog } from '../../lib/log.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import type { NodeName, VolumeId } from '../../model/names.ts'
import type { BlockDriver, Device } from './block-driver.ts'
import { imageSnapshots } from './image-snapshots.ts'
import { folderOf, imageOf, realFolder } from './layout.ts'
import { loopDevices } from './loop-devices.ts'
import { growImage, makeImage, USUAL_OVERCOMMIT } from './loop-image.ts'
import { dropHold, holdImage, holdName } from './pool-hold.ts'

type Options = {
  /** A folder on storage that all nodes of the pool see. */
  readonly folder: string
  /** The name of this node, which no other node has. */
  readonly node: NodeName
  readonly exec?: Exec
  /** How many times the room on the storage all volumes may be promised together. */
  readonly overcommit?: number | undefined
  /** So much of the disk is left free by snapshots. */
  readonly floorBytes?: number | undefined
  readonly log?: Log
}

/**
 * Volumes as sparse files at `<folder>/<volume>/image.ext4` on storage that several machines see, each attached as a loop device of one
 * of them. The storage keeps no second machine out: whoever attaches has the lease. Each holder attaches the image by a hard link of its
 * own (see pool-hold.ts), so the kernel's table of loop devices tells the volumes of this node from those of others.
 */
export function pool(options: Options): BlockDriver {
  const { folder, node, exec = execHere, overcommit = USUAL_OVERCOMMIT, floorBytes, log = noLog } = options
  const root = realFolder(folder)
  const turns = new KeyedMutex<VolumeId>()
  const devices = loopDevices({ root, name: holdName(node), exec })
  const snapshots = imageSnapshots({ root, turns, exec, floorBytes, owner: node })
  const wanted = async (volume: VolumeId, sizeBytes: number) => ({
    image: imageOf(await root(), volume),
    volume,
    sizeBytes,
    overcommit,
    log,
  })
  const held = async (volume: VolumeId) => ({ folder: folderOf(await root(), volume), node, volume, exec, log })

  async function attachNow(volume: VolumeId, signal: AbortSignal): Promise<Device> {
    const isAttached = (await devices.of(volume)).length > 0
    await holdImage({ ...(await held(volume)), isAttached }, signal)
    const device = await devices.attach(volume)
    // Without direct I/O the bytes would first lie in this machine's cache of the file. Not every filesystem has it.
    await exec('losetup', ['--direct-io=on', device]).catch(cause => log.debug('no direct I/O', { volume, cause }))
    return device
  }

  async function detachNow(volume: VolumeId): Promise<void> {
    await devices.detach(volume)
    await dropHold(await held(volume))
  }

  return {
    excludes: false,

    file: volume => imageOf(folder, volume),

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
        turns.take(volume, async () => growImage(await wanted(volume, sizeBytes), () => detachNow(volume))),
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
        turns.take(volume, () => attachNow(volume, signal)),
        signal,
      ),

    detach: volume => turns.take(volume, () => detachNow(volume)),

    remove: volume =>
      turns.take(volume, async () => {
        if ((await devices.of(volume)).length > 0)
          throw new ShadowError('volume-in-use', `volume ${volume} is attached`, { hint: 'put its app to sleep first' })
        await rm(imageOf(await root(), volume), { force: true })
        await rm(folderOf(await root(), volume), { recursive: true, force: true })
      }),

    attached: devices.attached,
    snapshots,
  }
}
