import { mkdirSync } from 'node:fs'
import { openDatabase, useWriteAheadLog } from '../../lib/files.ts'
import type { Log } from '../../lib/log.ts'

/** An answer that an app gave, as far as it is given again. */
export type KeptAnswer = {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** When the app gave it; ms since the epoch. */
  readonly at: number
}

/** Whose answer it is: another revision of the app, or another app of its name, does not have it. */
export type AnswerKey = {
  readonly app: string
  readonly version: string
  readonly hostname: string
  readonly path: string
}

/** The last answers of apps, over restarts of the front. Whoever loses one asks the app again. */
export interface AnswerStore {
  get(key: AnswerKey): KeptAnswer | undefined
  set(key: AnswerKey, answer: KeptAnswer): void
}

/** So much of a disk may answers take: that is room for thousands of apps. */
const MOST_BYTES = 256 * 2 ** 20
const PRUNED_EVERY = 1_000
// Threads of the front share the file. At its start each may wait for the others, and later for no longer than its requests may.
const START_WITHIN_MS = 5_000
const BUSY_MS = 50

/** A store in one SQLite file, which all threads of a front open. What cannot be read or written is logged, and counts as not there. */
export function openAnswerStore({
  folder,
  log,
  mostBytes = MOST_BYTES,
  prunedEvery = PRUNED_EVERY,
}: {
  folder: string
  log: Log
  mostBytes?: number
  prunedEvery?: number
}): AnswerStore & Disposable {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const database = openDatabase(`${folder}/answers`, { timeout: START_WITHIN_MS })
  useWriteAheadLog(database, START_WITHIN_MS)
  // A power cut may lose the newest answers, and leaves the file whole.
  database.exec('PRAGMA synchronous = NORMAL')
  database.exec(
    `CREATE TABLE IF NOT EXISTS answers (
       app TEXT, hostname TEXT, path TEXT, version TEXT NOT NULL, at INTEGER NOT NULL, bytes INTEGER NOT NULL,
       headers TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (app, hostname, path)
     )`,
  )
  database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`)
  const select = database.prepare(
    'SELECT version, at, headers, body FROM answers WHERE app = ? AND hostname = ? AND path = ?',
  )
  const upsert = database.prepare('INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
  // Removes all that come after the newest ones which fit together.
  const prune = database.prepare(
    `DELETE FROM answers WHERE (app, hostname, path) IN (
       SELECT app, hostname, path FROM (
         SELECT app, hostname, path, SUM(bytes) OVER (ORDER BY at DESC, app, hostname, path) AS sum FROM answers
       ) WHERE sum > ?)`,
  )
  const quietly = <T>(action: () => T): T | undefined => {
    try {
      return action()
    } catch (cause) {
      log.warn('answers of apps not kept', { cause })
      return undefined
    }
  }
  let written = 0
  return {
    get: ({ app, version, hostname, path }) =>
      quietly(() => {
        const row = select.get(app, hostname, path)
        if (row === undefined || row['version'] !== version) return undefined
        const headers = JSON.parse(String(row['headers'])) as Record<string, string>
        return { headers, body: Buffer.from(row['body'] as Uint8Array), at: Number(row['at']) }
      }),
    set: ({ app, version, hostname, path }, { headers, body, at }) => {
      quietly(() => {
        const text = JSON.stringify(headers)
        upsert.run(app, hostname, path, version, at, text.length + body.length, text, body)
        if (written++ % prunedEvery === 0) prune.run(mostBytes)
      })
    },
    [Symbol.dispose]: () => database.close(),
  }
}
