import { constants, open } from 'node:fs/promises'
import { ShadowError, systemCode } from './errors.ts'

const OTHERS = 0o077

/**
 * The text of a file that holds a secret, trimmed; undefined if the file is missing or empty. Fails with `bad-input` if the
 * file belongs to another user, if others may read or write it, or if it is no plain file: somebody may have planted it.
 */
export async function readPrivate(file: string): Promise<string | undefined> {
  let handle: Awaited<ReturnType<typeof open>>
  try {
    handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT' || systemCode(cause) === 'ENOTDIR') return undefined
    if (systemCode(cause) === 'ELOOP') throw refused(file, 'it is a symbolic link', 'put the file itself there', cause)
    throw cause
  }
  try {
    const stat = await handle.stat()
    if (!stat.isFile()) throw refused(file, 'it is no plain file', `rm ${file}`)
    const own = process.geteuid?.() ?? stat.uid
    if (stat.uid !== own)
      throw refused(
        file,
        `it belongs to the user ${stat.uid}, who knows what is in it`,
        `rm ${file}: a new one is made`,
      )
    if ((stat.mode & OTHERS) !== 0)
      throw refused(
        file,
        `others may read or write it (mode ${(stat.mode & 0o7777).toString(8)})`,
        `rm ${file}: a new one is made; or, where nobody else has seen it, chmod 600 ${file}`,
      )
    return (await handle.readFile('utf8')).trim() || undefined
  } finally {
    await handle.close()
  }
}

const refused = (file: string, why: string, hint: string, cause?: unknown): ShadowError =>
  new ShadowError('bad-input', `the secret in ${file} is not taken: ${why}`, { cause, hint })
