import { randomUUID } from 'node:crypto'
import { chmodSync, closeSync, openSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ShadowError, systemCode } from './errors.ts'

/** The file's text, or undefined where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw error
  }
}

type Whole = {
  /** Where the text is put together; on the same filesystem. Left out: beside the file. */
  parts?: string
  /** Calls `put`, which shows the new text in one step, or throws to keep the old one: for whoever must look once more first. */
  place?: (put: () => Promise<void>) => Promise<void>
}

/**
 * Writes the file whole or not at all: a crash or a full disk leaves the old text or the new one. Synced before the rename
 * and the folder after it, so that it outlives a power cut. File and new folders are for us alone. Fails with `disk-full`.
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
    // A folder made on the way is an entry in its own folder, which has to outlive a power cut too.
    for (let at = folder; made !== undefined && at.length >= made.length; at = dirname(at))
      await syncFolder(dirname(at))
  } catch (error) {
    await rm(part, { force: true })
    if (isNoSpace(error)) throw new ShadowError('disk-full', `no space left to write ${path}`, { cause: error })
    throw error
  }
}

/** Makes the folder, for us alone, and those above it; one that is there is left as it is. Fails with `disk-full`. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    if (isNoSpace(error)) throw new ShadowError('disk-full', `no space left to make ${path}`, { cause: error })
    throw error
  }
}

export const isNoSpace = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(systemCode(error) ?? '')

/** Makes a rename or removal in the folder outlive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Keeps the folder for this process alone until disposed of; fails with `data-in-use`. The lock is SQLite's (fcntl): the
 * kernel frees it when its holder dies, however it dies.
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

/** Opens an SQLite database that is ours alone (0600): whoever could open its file could hold a lock on it. */
export function openDatabase(file: string, options: { timeout?: number } = {}): DatabaseSync {
  try {
    // SQLite would make it by the umask, and its journals with the same mode. A file that is there must not be opened and
    // closed by us: that would drop the fcntl locks that this process has on it.
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
    chmodSync(file, 0o600)
  }
  return new DatabaseSync(file, options)
}
