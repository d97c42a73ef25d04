import type { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'
import { openDatabase } from './files.ts'
import { Turn } from './turn.ts'

const SQLITE_BUSY = 5

/**
 * Lets one at a time in among all processes that name the same file. The lock is SQLite's (fcntl): the kernel frees it when
 * its holder dies, however it dies. It is asked for again and again rather than waited for, since SQLite's own wait would
 * stop the event loop.
 */
export class ProcessTurn {
  readonly #database: DatabaseSync
  readonly #turn = new Turn()
  readonly #withinMs: number

  constructor(file: string, { withinMs }: { withinMs: number }) {
    this.#database = openDatabase(file, { timeout: 0 })
    this.#withinMs = withinMs
  }

  /** Runs the deed when nobody else is in; throws what SQLite threw when that did not come about in time. */
  take<T>(deed: () => Promise<T>): Promise<T> {
    return this.#turn.take(async () => {
      await this.#enter()
      try {
        return await deed()
      } finally {
        this.#database.exec('ROLLBACK') // nothing was written: the transaction is the lock
      }
    })
  }

  /** Lets go of the file when all who came before are done; nobody is let in after it. */
  close(): Promise<void> {
    return this.#turn.take(async () => this.#database.close())
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

const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
