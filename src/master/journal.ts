import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../lib/clock.ts'
import { isFailure } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { retryOnConflict } from './retry.ts'
import type { Storage } from './storage/storage.ts'

const KEY = 'changes/journal.json'
/** How many changes the document holds. A master that missed more than these checks everything. */
const MOST_ENTRIES = 200
/** For how long masters look for a change that was announced but is not marked done: longer than any late write may take. */
const UNSURE_FOR_MS = 20_000

const EntrySchema = z.object({ number: z.int(), op: z.string(), key: z.string(), done: z.boolean() })
const JournalSchema = z.object({
  /** The id of this journal: a journal that was lost and begun again has another id. */
  id: z.string(),
  /** The number of the newest entry. */
  last: z.int(),
  /** The number of the newest entry that the document no longer holds. */
  dropped: z.int(),
  entries: z.array(EntrySchema),
})

type Entry = z.output<typeof EntrySchema>
type Document = z.output<typeof JournalSchema>
type Announced = Omit<Entry, 'number'>
type Waiting = Announced & { readonly written: PromiseWithResolvers<void> }

/**
 * The result of `look`: keys of documents that may have changed; `missed` is set if the journal no longer holds all changes since the last
 * look.
 */
export type Looked = { readonly keys: readonly string[]; readonly missed: boolean }

const EMPTY: Document = { id: '', last: 0, dropped: 0, entries: [] }

/**
 * Informs all masters on one store which documents change. Every master reads one small document, `changes/journal.json`, once a second.
 * A change is announced before it is written, so that a master that dies in between leaves a trace; it is marked done afterwards.
 * Masters look for a change that is announced but not done until they find it or its time is over.
 * Conditional writes number the entries: no clock of any machine takes part.
 */
export class Journal {
  readonly #storage: Storage
  readonly #clock: Clock
  readonly #log: Log
  readonly #waiting: Waiting[] = []
  readonly #unsure = new Map<string, { key: string; until: number }>()
  /** The document as we last wrote it: while no other master writes, the next write needs no read. */
  #written: { document: Document; etag: string } | undefined
  #writing: Promise<void> | undefined
  #seen: Pick<Document, 'id' | 'last'> | undefined

  constructor({ storage, clock, log }: { storage: Storage; clock: Clock; log: Log }) {
    this.#storage = storage
    this.#clock = clock
    this.#log = log
  }

  /** The storage, with writes announced for each key for which `isAnnounced` is true. */
  over(isAnnounced: (key: string) => boolean): Storage {
    const storage = this.#storage
    const changing = <T>(key: string, action: () => Promise<T>): Promise<T> =>
      isAnnounced(key) ? this.#changing(key, action) : action()
    return {
      name: storage.name,
      close: () => storage.close(),
      get: (key, signal) => storage.get(key, signal),
      list: (prefix, options) => storage.list(prefix, options),
      versions: (prefix, options) => storage.versions(prefix, options),
      create: (key, value) => changing(key, () => storage.create(key, value)),
      update: (key, value, etag) => changing(key, () => storage.update(key, value, etag)),
      remove: key => changing(key, () => storage.remove(key)),
    }
  }

  /**
   * Tells all masters of a change that was made. Unlike those of `over` it is lost if this master dies right now, so whoever listens must find it
   * in another way, if late.
   */
  tell(key: string): void {
    this.#isDone({ op: randomUUID(), key, done: true })
  }

  /** The changes that any master announced since the last call. The first call returns only the changes that are not done yet. */
  async look(): Promise<Looked> {
    const stored = await this.#storage.get(KEY)
    const document = stored === undefined ? EMPTY : JournalSchema.parse(stored.value)
    const before = this.#seen
    this.#seen = { id: document.id, last: document.last }
    const isSame = before === undefined || before.id === '' || before.id === document.id
    const last = before?.last ?? document.last
    const missed = !isSame || document.last < last || document.dropped > last
    const keys = new Set<string>()
    for (const { number, op, key, done } of document.entries) {
      const isNew = missed || number > last
      if (isNew) keys.add(key)
      if (done) this.#unsure.delete(op)
      else if (isNew || before === undefined) this.#unsure.set(op, { key, until: this.#clock.now() + UNSURE_FOR_MS })
    }
    for (const [op, { key, until }] of this.#unsure) {
      keys.add(key)
      if (until <= this.#clock.now()) this.#unsure.delete(op)
    }
    return { keys: [...keys], missed }
  }

  /** Resolves when nothing is being written. */
  async flushed(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing
  }

  async #changing<T>(key: string, action: () => Promise<T>): Promise<T> {
    const op = randomUUID()
    await this.#announce({ op, key, done: false })
    try {
      const result = await action()
      this.#isDone({ op, key, done: true })
      return result
    } catch (error) {
      // A refused write has not taken effect. Any other failed write may have taken effect, or may later: all masters look for it.
      if (isFailure(error, 'changed', 'already-exists', 'bad-input', 'disk-full')) this.#isDone({ op, key, done: true })
      throw error
    }
  }

  #isDone(announced: Announced): void {
    this.#announce(announced).catch(cause =>
      this.#log.debug('change not said to be done; it is looked for', { key: announced.key, cause }),
    )
  }

  /** Resolves when the entry is written. Entries that come while another write is running share the next write. */
  #announce(announced: Announced): Promise<void> {
    const written = Promise.withResolvers<void>()
    this.#waiting.push({ ...announced, written })
    this.#writing ??= this.#write()
    return written.promise
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0)
      try {
        await retryOnConflict(() => this.#append(batch))
        for (const { written } of batch) written.resolve()
      } catch (error) {
        for (const { written } of batch) written.reject(error)
      }
    }
    // Not in a `finally`: an entry announced between the look above and the `finally` would never be written.
    this.#writing = undefined
  }

  async #append(batch: readonly Announced[]): Promise<void> {
    const before = this.#written ?? (await this.#read())
    this.#written = undefined
    const document = withEntries(before?.document ?? { ...EMPTY, id: randomUUID() }, batch)
    const etag =
      before === undefined
        ? await this.#storage.create(KEY, document)
        : await this.#storage.update(KEY, document, before.etag)
    this.#written = { document, etag }
  }

  async #read(): Promise<{ document: Document; etag: string } | undefined> {
    const stored = await this.#storage.get(KEY)
    return stored && { document: JournalSchema.parse(stored.value), etag: stored.etag }
  }
}

function withEntries(before: Document, batch: readonly Announced[]): Document {
  let { last } = before
  const added = batch.map(({ op, key, done }): Entry => ({ number: ++last, op, key, done }))
  const replaced = new Set(batch.map(({ op }) => op))
  const entries = [...before.entries.filter(({ op }) => !replaced.has(op)), ...added]
  const gone = entries.splice(0, Math.max(0, entries.length - MOST_ENTRIES))
  return { id: before.id, last, dropped: Math.max(before.dropped, gone.at(-1)?.number ?? 0), entries }
}
