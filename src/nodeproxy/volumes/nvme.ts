import { readdir, stat } from 'node:fs/promises'
import { readIfThere } from '../../lib/files.ts'
import type { VolumeId } from '../../model/names.ts'
import type { Device } from './block-driver.ts'
import { untilUnused } from './unused-device.ts'

/** The devices that this machine has for disks of the cloud. */
export type DiskDevices = {
  /** The device of the disk; undefined where this machine does not have it. */
  find(disk: string): Promise<Device | undefined>
  bytes(device: Device): Promise<number>
  /** Fails with `volume-in-use` while the device is mounted or open. */
  untilUnused(volume: VolumeId, device: Device): Promise<void>
}

/**
 * NVMe devices, found by their serial number: EC2 gives each its disk's id without the dash. The name under which the disk was attached
 * means nothing to an NVMe device, and `nvme1n1` may be another disk after the next start.
 */
export function nvmeDevices({ sys = '/sys/block', dev = '/dev' } = {}): DiskDevices {
  return {
    async find(disk) {
      const serial = disk.replace('-', '')
      for (const name of await readdir(sys).catch(() => [])) {
        if (!/^nvme\d+n\d+$/.test(name)) continue
        // A device may go away while it is looked at.
        const found = await readIfThere(`${sys}/${name}/device/serial`).catch(() => undefined)
        if (found?.trim() !== serial) continue
        const device = `${dev}/${name}` as Device
        // The kernel may have the device before udev has made its name in /dev.
        if (await stat(device).catch(() => undefined)) return device
      }
      return undefined
    },

    async bytes(device) {
      const sectors = await readIfThere(`${sys}/${device.slice(dev.length + 1)}/size`)
      return Number(sectors ?? 0) * 512
    },

    untilUnused,
  }
}
