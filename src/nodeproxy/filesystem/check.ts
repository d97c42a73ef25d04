import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ShadowError } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'
import type { VolumeId } from '../../model/names.ts'
import { freeAt } from '../space/measure.ts'
import type { Device } from '../volumes/block-driver.ts'
import { sizeOf } from './device-size.ts'
import { checkFilesystem, growFilesystem } from './ext4-tools.ts'
import { mountinfo } from './mountinfo.ts'
import { readSuperblock } from './superblock.ts'

type Checked = {
  readonly volume: VolumeId
  readonly device: Device
  /** The file behind the device, if it has one. */
  readonly file: string | undefined
  readonly exec: Exec
}

const MIB = 2 ** 20

/**
 * Repairs a filesystem that was not unmounted in good order, and grows one that is smaller than its device, which also makes
 * good a growth that was cut short. One that is mounted is left alone. Fails with `volume-broken`, `disk-full`.
 */
export async function checkAndGrow(checked: Checked): Promise<void> {
  const { device } = checked
  const [superblock, deviceBytes] = await Promise.all([readSuperblock(device), sizeOf(device)])
  const isShort =
    superblock !== undefined && deviceBytes - superblock.sizeBytes >= Math.max(superblock.groupOverheadBytes, 1)
  // This check is what `e2fsck -p` would do first, without the 3 ms of its process: nearly every wake ends here.
  if (superblock?.isClean && !isShort) return
  if ((await mountinfo()).some(mount => mount.source === device)) return
  await repair(checked, isShort)
  if (isShort) await growToDevice(checked)
}

async function repair({ volume, device, file, exec }: Checked, force: boolean): Promise<void> {
  try {
    await checkFilesystem(device, exec, { force })
  } catch (error) {
    if (!(error instanceof ExecError)) throw error
    const output = outputOf(error).split('\n').slice(-5).join('\n')
    throw new ShadowError(
      'volume-broken',
      `the filesystem of volume ${volume} cannot be repaired by itself:\n${output}`,
      { cause: error, hint: `keep a copy of its image, then repair by hand: e2fsck -f ${file ?? device}` },
    )
  }
}

/** Makes a filesystem as large as its device: one that was just checked, or one that is mounted. */
export async function growToDevice({ volume, device, file, exec }: Checked): Promise<void> {
  try {
    await growFilesystem(device, exec)
    await using opened = await open(device, 'r+')
    await opened.sync()
  } catch (error) {
    // A loop device reports a full disk below it as an I/O error.
    if (file !== undefined && (await freeAt(dirname(file))) < MIB)
      throw new ShadowError('disk-full', `no space left to grow volume ${volume}`, {
        cause: error,
        hint: 'free space on the disk of the data folder (df -h), then try again',
      })
    if (!(error instanceof ExecError)) throw error
    throw new ShadowError('volume-broken', `the filesystem of volume ${volume} cannot be grown:\n${outputOf(error)}`, {
      cause: error,
      hint: `keep a copy of its image, then repair by hand: e2fsck -f ${file ?? device}`,
    })
  }
}

const outputOf = ({ stdout, stderr }: ExecError): string => `${stdout}${stderr}`.trim()
