import { chmod, mkdir, readdir, stat } from 'node:fs/promises'
import { isNoSpace, ShadowError } from './errors.ts'
import { readIfThere } from './files.ts'

// Every folder that a daemon has used contains one of these. `lost+found` is in every new filesystem.
const MARKS = ['up.json', 'lock', 'node/lock', 'proxy/lock', 'node/key']
const HARMLESS = ['lost+found', 'certificates']
const OTHERS = 0o077

/**
 * Creates the data folder of a daemon, for its user alone (0700). An existing folder must belong to this user.
 * If others have access to an existing folder, their access is removed if it is empty or was a data folder before.
 * If it has other files, this fails with `bad-input`: removing the access to /tmp or a home folder would break its other users.
 */
export async function ownDataFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (cause) {
    if (isNoSpace(cause)) throw new ShadowError('disk-full', `no space left to make ${path}`, { cause })
    throw refused(
      path,
      `it cannot be made: ${(cause as Error).message}`,
      'choose another one: --data or SHADOW_DATA',
      cause,
    )
  }
  const { uid, mode } = await stat(path)
  const own = process.geteuid?.() ?? uid
  if (uid !== own)
    throw refused(path, `it belongs to the user ${uid}, who could put a token there`, `chown ${own} ${path}`)
  if ((mode & OTHERS) === 0) return
  if (!(await isDataFolder(path)))
    throw refused(
      path,
      `it is open to others (mode ${(mode & 0o7777).toString(8)}), and has files that are not of Shadow`,
      `choose an empty folder, or close this one: chmod 700 ${path}`,
    )
  await chmod(path, 0o700).catch(cause => {
    throw refused(
      path,
      `it is open to others and cannot be closed: ${(cause as Error).message}`,
      `chmod 700 ${path}`,
      cause,
    )
  })
}

async function isDataFolder(path: string): Promise<boolean> {
  const names = await readdir(path)
  if (names.every(name => HARMLESS.includes(name))) return true
  const marks = await Promise.all(MARKS.map(mark => readIfThere(`${path}/${mark}`)))
  return marks.some(mark => mark !== undefined)
}

const refused = (path: string, why: string, hint: string, cause?: unknown): ShadowError =>
  new ShadowError('bad-input', `the data folder ${path} is not taken: ${why}`, { cause, hint })
