import { randomUUID } from 'node:crypto'
import { chmodSync, closeSync, openSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isNoSpace, ShadowError, systemCode } from './errors.ts'

/** The text of the file; undefined if it does not exist. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw error
  }
}

type Whole = {
  /** The folder for the temporary file, on the same filesystem. Left out: the folder of the file. */
  parts?: string
  /**
   * Calls `put`, which replaces the old text in one step, or throws to keep the old text: for a caller that must check something right
   * before the replacement.
   */
  place?: (put: () => Promise<void>) => Promise<void>
}

/**
 * Writes the whole file or nothing: after a crash or on a full disk, the file has either the old text or the new one. It syncs the file
 * before the rename and the folder after it, so that the text survives a power cut. The file and new folders are for this user alone. Fails
 * with `disk-full`.
 */
export async function writeWhole(path: string, text: string, whole: Whole = {}): Promise<void> {
  const folder = dirname(path)
  const { parts = folder, place = put => put() } = whole
  const part = `${parts}/${basename(path).slice(0, 100)}.${randomUUID()}.part`
  try {
    const made = await mkdir(folder, { recursive: true, mode: 0o700 })
    const file = await open(part, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await place(() => rename(part, path))
    await syncFolder(folder)
    // A new parent folder is an entry in its own parent, and that entry has to survive a power cut too.
    for (let at = folder; made !== undefined && at.length >= made.length; at = dirname(at))
      await syncFolder(dirname(at))
  } catch (error) {
    await rm(part, { force: true })
    if (isNoSpace(error)) throw new ShadowError('disk-full', `no space left to write ${path}`, { cause: error })
    throw error
  }
}

/** Creates the folder and its parents, for this user alone; an existing folder is left as it is. Fails with `disk-full`. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    if (isNoSpace(error)) throw new ShadowError('disk-full', `no space left to make ${path}`, { cause: error })
    throw error
  }
}

/** Makes a rename or a removal in the folder survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Locks the folder for this process until the result is disposed; fails with `data-in-use`. The lock is SQLite's (fcntl): the
 * kernel releases it when its holder dies in any way.
 */
export async function lockFolder(folder: string): Promise<Disposable> {
  await makeFolder(folder)
  const file = `${folder}/lock`
  const database = openDatabase(file, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (cause) {
    database.close()
    throw new ShadowError('data-in-use', `another Shadow runs on ${folder}`, {
      cause,
      hint: `stop it, or choose another folder with --data (who has it: fuser ${file})`,
    })
  }
  return { [Symbol.dispose]: () => database.close() }
}

/** Opens an SQLite database with mode 0600: a process that can open the file could hold a lock on it. */
export function openDatabase(file: string, options: { timeout?: number } = {}): DatabaseSync {
  try {
    // SQLite would create the file by the umask, and its journals with the same mode. An existing file must not be opened and closed
    // by us: that would release the fcntl locks that this process has on it.
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
    chmodSync(file, 0o600)
  }
  return new DatabaseSync(file, options)
}

const SQLITE_BUSY = 5
const BUSY_AGAIN_MS = 5

/** Whether another connection holds a lock on the database. */
export const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY

/**
 * Sets the database to write-ahead logging, and blocks for at most `withinMs` while other connections are in the way: threads that open a new
 * database at the same moment. SQLite waits for a reader by itself; for a connection that is about to write it fails at once, since the two could wait
 * for each other (https://www.sqlite.org/c3ref/busy_handler.html).
 */
export function useWriteAheadLog(database: DatabaseSync, withinMs: number): void {
  const until = performance.now() + withinMs
  for (;;) {
    try {
      database.exec('PRAGMA journal_mode = WAL')
      return
    } catch (error) {
      if (!isBusy(error) || performance.now() > until) throw error
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_AGAIN_MS)
  }
}
