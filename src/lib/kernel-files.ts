import { readFileSync, readlinkSync } from 'node:fs'

/**
 * The text of a file that the kernel makes up as it is read (those of /proc and /sys); undefined where it is not there, or its process has ended.
 * No disk is waited for, so it is read at once: by way of `node:fs/promises`, a read takes this process about ten times as long.
 */
export function kernelFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Where a link of the kernel leads, such as `/proc/PID/exe`; undefined where it is not there, or its process has ended. */
export function kernelLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
