import { readdir, rm } from 'node:fs/promises'
import { z } from 'zod'
import { systemCode } from './errors.ts'
import { readIfThere, writeWhole } from './files.ts'
import type { Log } from './log.ts'
import { KeyedMutex } from './mutex.ts'
import type { Seals } from './seals.ts'

type Options<K extends string, V> = {
  readonly folder: string
  readonly seals: Seals
  readonly log: Log
  /** What one document is, for the log: `definition`. */
  readonly what: string
  /** The context that the document of a name is sealed for; see `Seals`. */
  readonly contextOf: (name: string) => string
  readonly isName: (text: string) => text is K
  /** true: a file in clear text is read too, and encrypted then: an earlier version wrote it. */
  readonly mayBeClear?: boolean
  /** Checks a document that was read; throws where it is not one. */
  readonly parse: (document: unknown) => V
}

const Sealed = z.object({ sealed: z.string() })

/**
 * Encrypted JSON documents in a folder, one file for each name. Writes are made in the background, in the order of the calls for each
 * name; a write that fails is logged.
 */
export class SealedFiles<K extends string, V> {
  readonly #options: Options<K, V>
  readonly #mutexes = new KeyedMutex<K>()
  readonly #writing = new Set<Promise<void>>()

  constructor(options: Options<K, V>) {
    this.#options = options
  }

  /** All documents that can be read. A file that cannot be read is logged and left as it is. Fails if the folder exists and cannot be read. */
  async all(): Promise<readonly (readonly [name: K, document: V])[]> {
    const { folder, log, what, isName } = this.#options
    const found: [K, V][] = []
    for (const file of await readdir(folder).catch(emptyIfMissing)) {
      const name = file.slice(0, -5)
      if (!file.endsWith('.json') || !isName(name)) continue
      try {
        found.push([name, this.#open(name, JSON.parse((await readIfThere(this.#file(name))) ?? ''))])
      } catch (cause) {
        log.warn(`kept ${what} is not readable`, { file, cause })
      }
    }
    return found
  }

  /** Writes the document in the background. */
  keep(name: K, document: V): void {
    const { seals, contextOf } = this.#options
    const sealed = seals.seal(JSON.stringify(document), contextOf(name))
    this.#inBackground(name, () => writeWhole(this.#file(name), `${JSON.stringify({ sealed })}\n`))
  }

  /** Removes the document in the background; one that is not there is no failure. */
  forget(name: K): void {
    this.#inBackground(name, () => rm(this.#file(name), { force: true }))
  }

  /** Resolves when all writes and removals have ended. */
  async flush(): Promise<void> {
    await Promise.all(this.#writing)
  }

  #open(name: K, stored: unknown): V {
    const { seals, contextOf, parse, mayBeClear = false } = this.#options
    const read = Sealed.safeParse(stored)
    if (read.success) return parse(JSON.parse(seals.open(read.data.sealed, contextOf(name))))
    if (!mayBeClear) throw read.error
    const document = parse(stored)
    this.keep(name, document)
    return document
  }

  #inBackground(name: K, write: () => Promise<void>): void {
    const { log, what } = this.#options
    const writing: Promise<void> = this.#mutexes
      .take(name, write)
      .catch(cause => log.warn(`${what} not kept`, { name, cause }))
      .finally(() => this.#writing.delete(writing))
    this.#writing.add(writing)
  }

  #file(name: K): string {
    return `${this.#options.folder}/${name}.json`
  }
}

function emptyIfMissing(error: unknown): string[] {
  if (systemCode(error) === 'ENOENT') return []
  throw error
}
