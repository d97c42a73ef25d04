import { type Clock, timestamp } from '../lib/clock.ts'
import type { HoldRequest, NotWoken } from '../model/instance.ts'

/** An app has at most fifty rules at a time, which may be changed. */
const MOST_REASONS = 100
const LONGEST_REASON = 300

/** Counts the requests that did not wake an instance, by why they did not. */
export class NotWokenCounts {
  readonly #clock: Clock
  readonly #byReason = new Map<string, Omit<NotWoken, 'by'>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The most recent reason first; undefined if there is none. */
  get all(): readonly NotWoken[] | undefined {
    if (this.#byReason.size === 0) return undefined
    return [...this.#byReason].map(([by, rest]) => ({ by, ...rest })).toReversed()
  }

  note({ ignoredBy, mayWake, what }: HoldRequest): void {
    const by = (ignoredBy ?? (mayWake ? '--ws ignore' : 'x-shadow-wake: never')).slice(0, LONGEST_REASON)
    const count = (this.#byReason.get(by)?.count ?? 0) + 1
    this.#byReason.delete(by) // so that it becomes the last one
    const [oldest] = this.#byReason.size >= MOST_REASONS ? this.#byReason.keys() : []
    if (oldest !== undefined) this.#byReason.delete(oldest)
    this.#byReason.set(by, { count, at: timestamp(this.#clock), what })
  }
}
