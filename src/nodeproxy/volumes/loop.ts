import { constants } from 'node:fs'
import { access, open, readdir, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { orAborted } from '../../lib/abort.ts'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import { type Exec, ExecError, exec as execHere } from '../../lib/exec.ts'
import { readIfThere } from '../../lib/files.ts'
import { type Log, noLog } from '../../lib/log.ts'
import { KeyedMutex, Mutex } from '../../lib/mutex.ts'
import type { VolumeId } from '../../model/names.ts'
import { mountinfo } from '../filesystem/mountinfo.ts'
import type { BlockDriver, Device } from './block-driver.ts'
import { folderOf, imageOf, realFolder, volumeAt } from './layout.ts'
import { growImage, makeImage, noSuchVolume } from './loop-image.ts'

type Options = {
  readonly folder: string
  readonly exec?: Exec
  /** How many times the room on the disk all volumes may be promised together. */
  readonly overcommit?: number | undefined
  readonly log?: Log
}

const USUAL_OVERCOMMIT = 10

/**
 * Volumes as sparse files at `<folder>/<volume>/image.ext4`, each attached as a loop device. The kernel's own table
 * (sysfs) is the only record of what is attached, so a restart forgets nothing.
 */
export function loop({ folder, exec = execHere, overcommit = USUAL_OVERCOMMIT, log = noLog }: Options): BlockDriver {
  const real = realFolder(folder)
  const turns = new KeyedMutex<VolumeId>()
  // Two losetup that find the same free device make one of them sleep 200 ms before it looks again.
  const losetupTurn = new Mutex()
  const lastDevice = new Map<VolumeId, Device>()

  /** Devices that have the volume's image behind them: one, or none. The last known one is checked first. */
  async function devicesOf(volume: VolumeId): Promise<Device[]> {
    const root = await real()
    const last = lastDevice.get(volume)
    if (last !== undefined && volumeAt(root, (await backingFile(last)) ?? '', 'image.ext4') === volume) return [last]
    return (await attachedUnder(root)).filter(found => found.volume === volume).map(found => found.device)
  }

  async function detachNow(volume: VolumeId): Promise<void> {
    for (const device of await devicesOf(volume)) {
      await untilUnused(volume, device)
      await exec('losetup', ['--detach', device]).catch(async cause => {
        if ((await backingFile(device)) !== undefined) throw cause
      })
      await untilGone(volume, device, imageOf(await real(), volume))
    }
    lastDevice.delete(volume)
  }

  const wanted = async (volume: VolumeId, sizeBytes: number) => ({
    image: imageOf(await real(), volume),
    volume,
    sizeBytes,
    overcommit,
    log,
  })

  return {
    excludes: true,

    file: volume => imageOf(folder, volume),

    // The work goes on when the caller leaves: it may be what the next caller waits for.
    create: (volume, sizeBytes, format, signal) =>
      orAborted(
        turns.take(volume, async () => makeImage(await wanted(volume, sizeBytes), format)),
        signal,
      ),

    grow: (volume, sizeBytes, signal) =>
      orAborted(
        turns.take(volume, async () => growImage(await wanted(volume, sizeBytes), () => detachNow(volume))),
        signal,
      ),

    attach: (volume, signal) =>
      orAborted(
        turns.take(volume, async () => {
          const image = imageOf(await real(), volume)
          const device = await losetupTurn.take(() => attachImage(volume, image, exec))
          lastDevice.set(volume, device)
          return device
        }),
        signal,
      ),

    detach: volume => turns.take(volume, () => detachNow(volume)),

    remove: volume =>
      turns.take(volume, async () => {
        const root = await real()
        const place = folderOf(root, volume)
        // A delete that walked into a mounted volume would empty it.
        if ((await devicesOf(volume)).length > 0 || (await mountinfo()).some(mount => mount.at.startsWith(`${place}/`)))
          throw new ShadowError('volume-in-use', `volume ${volume} is attached`, { hint: 'put its app to sleep first' })
        await rm(imageOf(root, volume), { force: true })
        await rm(place, { recursive: true, force: true })
      }),

    attached: async () => attachedUnder(await real()),
  }
}

async function attachImage(volume: VolumeId, image: string, exec: Exec): Promise<Device> {
  try {
    // --nooverlap answers with the device that has the image already, if one has, also one about to go away by itself.
    return (await exec('losetup', ['--find', '--show', '--nooverlap', image])).trim() as Device
  } catch (error) {
    if (
      await access(image).then(
        () => false,
        () => true,
      )
    )
      throw noSuchVolume(volume)
    if (!(error instanceof ExecError) || !/unused loop device|No such (file|device)/.test(error.stderr)) throw error
    throw new ShadowError('internal', `no loop device can be had: ${error.stderr.trim()}`, {
      cause: error,
      hint: 'is the module loaded (modprobe loop), and is /dev/loop-control there? see what is in use: losetup -a',
    })
  }
}

// How long others may hold on to a device that is let go of: udev while it looks at it, a container's setup that has a copy
// of all mounts for a moment.
const LINGER_MS = 2_000

/** Fails unless the device is mounted nowhere, in no namespace: losetup would take a mounted one as "detach later". */
async function untilUnused(volume: VolumeId, device: Device): Promise<void> {
  const detail = `${device} of volume ${volume} is mounted or otherwise in use`
  await within(LINGER_MS, detail, async () => {
    try {
      await using _ = await open(device, constants.O_RDONLY | constants.O_EXCL)
      return true
    } catch (error) {
      if (['ENXIO', 'ENOENT', 'ENODEV'].includes(systemCode(error) ?? '')) return true
      if (systemCode(error) !== 'EBUSY') throw error
      if ((await mountinfo()).some(mount => mount.source === device)) throw inUse(detail)
      return false
    }
  })
}

async function untilGone(volume: VolumeId, device: Device, image: string): Promise<void> {
  await within(LINGER_MS, `${device} of volume ${volume} is still held open`, async () => {
    const backing = await backingFile(device)
    return backing !== image
  })
}

async function within(ms: number, otherwise: string, done: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + ms
  while (!(await done())) {
    if (performance.now() > end) throw inUse(otherwise)
    await sleep(5)
  }
}

const inUse = (detail: string): ShadowError =>
  new ShadowError('volume-in-use', detail, { hint: 'see who uses it: lsblk, grep loop /proc/*/mountinfo' })

async function attachedUnder(root: string): Promise<{ volume: VolumeId; device: Device }[]> {
  const names = (await readdir('/sys/block').catch(() => [])).filter(name => /^loop\d+$/.test(name))
  const found = await Promise.all(
    names.map(async name => {
      const device = `/dev/${name}` as Device
      const volume = volumeAt(root, (await backingFile(device)) ?? '', 'image.ext4')
      return volume === undefined ? [] : [{ volume, device }]
    }),
  )
  return found.flat()
}

/** The file behind a loop device; undefined where it is detached. */
async function backingFile(device: Device): Promise<string | undefined> {
  const text = await readIfThere(`/sys/block/${device.slice('/dev/'.length)}/loop/backing_file`).catch(error => {
    if (systemCode(error) === 'ENXIO' || systemCode(error) === 'ENODEV') return undefined // detached while we read
    throw error
  })
  return text?.trimEnd().replace(/ \(deleted\)$/, '')
}
