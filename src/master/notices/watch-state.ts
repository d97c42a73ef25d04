import { z } from 'zod'
import { noticeFields } from '../../api/notice-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import { NOTICE_EVENTS } from '../../model/notice.ts'
import type { Storage } from '../storage/storage.ts'

const OccurrenceSchema = z
  .object(noticeFields)
  .omit({ id: true })
  .extend({ kind: z.enum(NOTICE_EVENTS), apps: z.array(z.string()).optional(), mark: z.string() })

const StateSchema = z.object({
  /** Which master watches; null: none. */
  holder: z.string().nullable(),
  beat: z.int(),
  /** The sources that were looked at before. */
  looked: z.array(z.string()),
  /** What is wrong now and was told: the mark of each condition, by its key. */
  open: z.record(z.string(), z.string()),
  /** By kind and subject: since when (ms since the epoch) a notice was sent, and what came after it. */
  windows: z.record(z.string(), z.object({ at: z.number(), times: z.int(), last: OccurrenceSchema.nullable() })),
})
type Stored = z.output<typeof StateSchema>
export type WatchState = Pick<Stored, 'looked' | 'open' | 'windows'>
export type NoticeWindow = Stored['windows'][string]

const KEY = 'notices/watch.json'
const RENEWED_EVERY_MS = 10_000
/** For so long after its last write a master counts as the one that watches. */
const COUNTS_FOR_MS = 25_000
/** A document that did not change for so long, by the clock of the master that looks, has lost its master. */
const LOST_AFTER_MS = 40_000

type Held = { state: WatchState; etag: string; writtenAt: number; written: string }

/**
 * The right to watch and to send, which one master has at a time, and what it has seen: a master that takes over tells nothing twice. Each write is
 * conditional. Another master takes the right if the document stays the same for a while, by its own monotonic clock: wall clocks differ.
 */
export class WatchRight {
  readonly #storage: Storage
  readonly #clock: Clock
  readonly #me: string
  #held: Held | undefined
  #beat = 0
  #seen: { readonly etag: string; readonly at: number } | undefined

  constructor({ storage, clock, me }: { storage: Storage; clock: Clock; me: string }) {
    this.#storage = storage
    this.#clock = clock
    this.#me = me
  }

  /** What was seen, which the caller changes and saves; undefined: another master watches. */
  get state(): WatchState | undefined {
    return this.#held?.state
  }

  /** Whether no other master can have the right at this moment. */
  get isSure(): boolean {
    return this.#held !== undefined && this.#clock.now() - this.#held.writtenAt < COUNTS_FOR_MS
  }

  /** Takes the right, if nobody has it. */
  async take(): Promise<void> {
    if (this.#held !== undefined) return
    const stored = await this.#storage.get(KEY)
    if (stored === undefined) return this.#write({ looked: [], open: {}, windows: {} }, undefined)
    const { holder, beat, ...state } = StateSchema.parse(stored.value)
    this.#beat = beat
    if (this.#seen?.etag !== stored.etag) this.#seen = { etag: stored.etag, at: this.#clock.now() }
    const isLost = this.#clock.now() - this.#seen.at >= LOST_AFTER_MS
    if (holder === null || holder === this.#me || isLost) await this.#write(state, stored.etag)
  }

  /** Writes what has changed, and from time to time that this master is there. The right may be lost then. */
  async save(): Promise<void> {
    if (this.#held === undefined) return
    const { state, etag, writtenAt, written } = this.#held
    const isDue = this.#clock.now() - writtenAt >= RENEWED_EVERY_MS
    if (isDue || JSON.stringify(state) !== written) await this.#write(state, etag)
  }

  /** Gives the right back, so that another master need not wait. */
  async release(): Promise<void> {
    if (this.#held === undefined) return
    const { state, etag } = this.#held
    this.#held = undefined
    await this.#storage.update(KEY, { holder: null, beat: this.#beat + 1, ...state }, etag).catch(unlessChanged)
  }

  /** Forgets what was seen: there is no webhook any more. */
  async forget(): Promise<void> {
    this.#held = undefined
    await this.#storage.remove(KEY)
  }

  async #write(state: WatchState, etag: string | undefined): Promise<void> {
    const written = JSON.stringify(state)
    const value = { holder: this.#me, beat: ++this.#beat, ...state }
    const writtenAt = this.#clock.now() // before the write: others count from the moment at which they see it
    try {
      const next = etag === undefined ? this.#storage.create(KEY, value) : this.#storage.update(KEY, value, etag)
      this.#held = { state, etag: await next, writtenAt, written }
    } catch (error) {
      if (!isFailure(error, 'changed', 'already-exists')) throw error
      this.#held = undefined
      this.#seen = undefined
    }
  }
}

function unlessChanged(error: unknown): void {
  if (!isFailure(error, 'changed')) throw error
}
