import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import type { VolumeId } from '../../model/names.ts'
import { mountinfo } from '../filesystem/mountinfo.ts'
import type { Device } from './block-driver.ts'

// How long others may hold on to a device that is let go of: udev while it looks at it, a container's setup that has a copy
// of all mounts for a moment.
const LINGER_MS = 2_000

/** Fails with `volume-in-use` unless the device is mounted nowhere, in no namespace, and open nowhere. */
export async function untilUnused(volume: VolumeId, device: Device): Promise<void> {
  const detail = `${device} of volume ${volume} is mounted or otherwise in use`
  await untilLetGo(detail, async () => {
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

/** Waits for what holders let go of by themselves; fails with `volume-in-use` and this detail where they do not. */
export async function untilLetGo(otherwise: string, done: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + LINGER_MS
  while (!(await done())) {
    if (performance.now() > end) throw inUse(otherwise)
    await sleep(5)
  }
}

const inUse = (detail: string): ShadowError =>
  new ShadowError('volume-in-use', detail, { hint: 'see who uses it: lsblk, grep loop /proc/*/mountinfo' })
