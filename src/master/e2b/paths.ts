import { posix } from 'node:path'
import { fault } from './faults.ts'

const MOST_PATH_BYTES = 4_096

/**
 * A path as clients write it, made ready to be an argument of a script: absolute, or beginning in the home of the user. `~` is that home. It is
 * only ever passed as an argument, and the container resolves it.
 */
export function containerPath(text: unknown): string {
  if (typeof text !== 'string' || text === '') throw fault('invalid_argument', 'a path is missing')
  if (text.includes('\0')) throw fault('invalid_argument', 'a path cannot have a NUL byte')
  if (Buffer.byteLength(text) > MOST_PATH_BYTES)
    throw fault('invalid_argument', `a path may have ${MOST_PATH_BYTES} bytes`)
  const fromHome = /^~(?:\/+|$)/.exec(text)
  return posix.normalize(fromHome === null ? text : text.slice(fromHome[0].length) || '.')
}

/** The path of an entry below a folder, relative to it. */
export const below = (folder: string, path: string): string => posix.relative(folder, path)

/** The text that was encoded for a URL; what is not encoded well stays as it is. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
