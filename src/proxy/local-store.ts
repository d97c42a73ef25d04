import { mkdirSync, rmSync } from 'node:fs'
import { openDatabase } from '../lib/files.ts'
import type { Log } from '../lib/log.ts'

/** What a front remembers across its restarts, as JSON by key. All of it is a hint: losing it costs a question. */
export interface LocalStore {
  get(key: string): unknown
  set(key: string, value: unknown): void
  forget(key: string): void
}

/**
 * A store in one SQLite file. Records are read only when they are needed, so a front with ten thousand apps starts as fast as one with
 * ten. The file has the keys of nodes, so its mode is 0600. A record that cannot be written is logged and dropped.
 */
export function openLocalStore({ folder, log }: { folder: string; log: Log }): LocalStore & Disposable {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  removeOld(folder)
  const database = openDatabase(`${folder}/hints`)
  // A power cut may lose the newest hints; syncing each would stop the whole front for milliseconds.
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF')
  database.exec('CREATE TABLE IF NOT EXISTS memory (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID')
  const select = database.prepare('SELECT value FROM memory WHERE key = ?')
  const upsert = database.prepare(
    'INSERT INTO memory VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  )
  const remove = database.prepare('DELETE FROM memory WHERE key = ?')
  const quietly = (action: () => void): void => {
    try {
      action()
    } catch (cause) {
      log.warn('hint not kept', { cause })
    }
  }
  return {
    get: key => {
      const row = select.get(key)
      return row === undefined ? undefined : JSON.parse(String(row['value']))
    },
    set: (key, value) => quietly(() => upsert.run(key, JSON.stringify(value))),
    forget: key => quietly(() => remove.run(key)),
    [Symbol.dispose]: () => database.close(),
  }
}

/** Removes the file of earlier versions: it kept whole definitions, with the environments of apps. */
function removeOld(folder: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${folder}/memory${suffix}`, { force: true })
}
