import type { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'
import { isBusy, openDatabase } from './files.ts'
import { Mutex } from './mutex.ts'

/**
 * A mutex for all processes that name the same file. The lock is SQLite's (fcntl): the kernel releases it when its holder dies
 * in any way. It is tried again and again, because SQLite's own wait would block the event loop.
 */
export class ProcessMutex {
  readonly #database: DatabaseSync
  readonly #mutex = new Mutex()
  readonly #withinMs: number

  constructor(file: string, { withinMs }: { withinMs: number }) {
    this.#database = openDatabase(file, { timeout: 0 })
    this.#withinMs = withinMs
  }

  /** Runs the task while it holds the lock. Throws SQLite's error if it cannot get the lock in time. */
  take<T>(task: () => Promise<T>): Promise<T> {
    return this.#mutex.take(async () => {
      await this.#enter()
      try {
        return await task()
      } finally {
        this.#database.exec('ROLLBACK') // nothing was written: the transaction is only the lock
      }
    })
  }

  /** Closes the file when all earlier tasks have ended; no call may follow. */
  close(): Promise<void> {
    return this.#mutex.take(async () => this.#database.close())
  }

  async #enter(): Promise<void> {
    const until = performance.now() + this.#withinMs
    for (;;) {
      try {
        return this.#database.exec('BEGIN IMMEDIATE')
      } catch (error) {
        if (!isBusy(error) || performance.now() > until) throw error
      }
      await wait(0.5 + 3 * Math.random())
    }
  }
}
