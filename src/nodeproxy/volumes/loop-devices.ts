import { access, readdir } from 'node:fs/promises'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'
import { readIfThere } from '../../lib/files.ts'
import { Mutex } from '../../lib/mutex.ts'
import type { VolumeId } from '../../model/names.ts'
import type { Device } from './block-driver.ts'
import { folderOf, volumeAt } from './layout.ts'
import { noSuchVolume } from './loop-image.ts'
import { untilLetGo, untilUnused } from './unused-device.ts'

type Options = {
  /** The folder of the volumes, as the kernel names it. */
  readonly root: () => Promise<string>
  /** The file below a volume's folder that its device is made from. */
  readonly name: string
  readonly exec: Exec
}

/**
 * The loop devices that this machine has for volumes. The kernel's own table (sysfs) is the only record of them, so a restart forgets
 * nothing. Callers take turns for a volume.
 */
export function loopDevices({ root, name, exec }: Options) {
  // Two losetup that find the same free device make one of them sleep 200 ms before it looks again.
  const losetupTurn = new Mutex()
  const lastDevice = new Map<VolumeId, Device>()

  /** Devices that have the volume's file behind them: one, or none. The last known one is checked first. */
  async function devicesOf(volume: VolumeId): Promise<Device[]> {
    const last = lastDevice.get(volume)
    if (last !== undefined && volumeAt(await root(), (await backingFile(last)) ?? '', name) === volume) return [last]
    return (await attached()).filter(found => found.volume === volume).map(found => found.device)
  }

  async function attached(): Promise<{ volume: VolumeId; device: Device }[]> {
    const folder = await root()
    const names = (await readdir('/sys/block').catch(() => [])).filter(name => /^loop\d+$/.test(name))
    const found = await Promise.all(
      names.map(async block => {
        const device = `/dev/${block}` as Device
        const volume = volumeAt(folder, (await backingFile(device)) ?? '', name)
        return volume === undefined ? [] : [{ volume, device }]
      }),
    )
    return found.flat()
  }

  return {
    of: devicesOf,
    attached,

    /** Attaches the file of the volume; a device that has it already, or was about to go away by itself, is kept. */
    async attach(volume: VolumeId): Promise<Device> {
      // The file may have been replaced while an earlier one of its name was attached: then the device is not the one wanted.
      const file = `${folderOf(await root(), volume)}/${name}`
      const device = await losetupTurn.take(() => attachFile(volume, file, exec))
      lastDevice.set(volume, device)
      return device
    },

    /** Lets the device be as large as its file is by now, also while it is mounted. */
    async resized(volume: VolumeId): Promise<Device> {
      const [device] = await devicesOf(volume)
      if (device === undefined) throw noSuchVolume(volume)
      await exec('losetup', ['--set-capacity', device])
      return device
    },

    /** Detaches the volume; fails with `volume-in-use` while it is mounted or open. */
    async detach(volume: VolumeId): Promise<void> {
      const file = `${folderOf(await root(), volume)}/${name}`
      for (const device of await devicesOf(volume)) {
        // losetup would take a mounted one as "detach later".
        await untilUnused(volume, device)
        await exec('losetup', ['--detach', device]).catch(async cause => {
          if ((await backingFile(device)) !== undefined) throw cause
        })
        await untilGone(volume, device, file)
      }
      lastDevice.delete(volume)
    },
  }
}

async function attachFile(volume: VolumeId, file: string, exec: Exec): Promise<Device> {
  try {
    // --nooverlap answers with the device that has the file already, if one has, also one about to go away by itself.
    return (await exec('losetup', ['--find', '--show', '--nooverlap', file])).trim() as Device
  } catch (error) {
    if (
      await access(file).then(
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

async function untilGone(volume: VolumeId, device: Device, file: string): Promise<void> {
  await untilLetGo(`${device} of volume ${volume} is still held open`, async () => {
    const backing = await backingFile(device)
    return backing !== file
  })
}

/** The file behind a loop device; undefined where it is detached. */
async function backingFile(device: Device): Promise<string | undefined> {
  const text = await readIfThere(`/sys/block/${device.slice('/dev/'.length)}/loop/backing_file`).catch(error => {
    if (systemCode(error) === 'ENXIO' || systemCode(error) === 'ENODEV') return undefined // detached while we read
    throw error
  })
  return text?.trimEnd().replace(/ \(deleted\)$/, '')
}
