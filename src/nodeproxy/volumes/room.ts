import { statfs } from 'node:fs/promises'
import type { ShadowError } from '../../lib/errors.ts'

/** Calls `fail` unless so many bytes fit on the disk of the folder, and leave `floorBytes` of it free: apps that write must find room, too. */
export async function mustHaveRoom(
  folder: string,
  needed: number,
  floorBytes: number,
  fail: (needed: number, free: number) => ShadowError,
): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const free = Math.max(0, bavail * bsize - floorBytes)
  if (needed > free) throw fail(needed, free)
}
