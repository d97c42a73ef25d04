import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isNoSpace, ShadowError } from '../../lib/errors.ts'

const LEFT_OVER_AFTER_MS = 600_000

/** Removes the temporary files of writers that died; files that are being written now stay. */
export async function sweep(parts: string): Promise<void> {
  for (const name of await readdir(parts)) {
    const file = join(parts, name)
    const age = await stat(file).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0, // gone: its writer has renamed it to its final name
    )
    if (age > LEFT_OVER_AFTER_MS) await rm(file, { force: true })
  }
}

/** Runs the call. Errors of the disk become `disk-full` or `storage-unreachable`. */
export async function withDirectoryFailures<T>(path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (cause) {
    if (cause instanceof ShadowError) throw cause
    if (isNoSpace(cause)) throw new ShadowError('disk-full', `no space left in ${path}`, { cause })
    throw new ShadowError(
      'storage-unreachable',
      `the storage directory ${path} cannot be used: ${(cause as Error).message}`,
      { cause, retryAfterMs: 1_000 },
    )
  }
}
