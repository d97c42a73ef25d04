import { readFileSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { basename } from 'node:path'

const SECTOR = 512

/** How many bytes a block device or an image has. */
export async function sizeOf(path: string): Promise<number> {
  const found = await stat(path)
  if (found.isFile()) return found.size
  const name = basename(await realpath(path))
  return Number(readFileSync(`/sys/class/block/${name}/size`, 'utf8')) * SECTOR
}
