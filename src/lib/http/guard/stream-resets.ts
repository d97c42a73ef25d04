import type { Clock } from '../../clock.ts'
import { Buckets, type Rate } from '../../shared/buckets.ts'

/** A browser that leaves a page resets all of its open streams at once, and many browsers may share an address. No client does so all the time. */
const RATE: Rate = { perSecond: 100, burst: 1_000 }

const SHUT_OUT_MS = 1_000
const MOST_KNOWN = 1_000

/**
 * Limits how many streams one client may reset before they are answered (rapid reset, CVE-2023-44487), over all of its connections. nghttp2 limits
 * them for each connection alone.
 */
export class StreamResets {
  readonly #buckets: Buckets
  readonly #clock: Clock
  /** The clients that get no new connection, and until when. */
  readonly #until = new Map<string, number>()

  constructor(clock: Clock, buckets = new Buckets()) {
    this.#clock = clock
    this.#buckets = buckets
  }

  /** Counts one reset; false if the client had too many. */
  take(client: string): boolean {
    const now = this.#clock.now()
    if (this.#buckets.take(client, RATE, now) === 0) return true
    if (this.#until.size >= MOST_KNOWN) this.#until.clear()
    this.#until.set(client, now + SHUT_OUT_MS)
    return false
  }

  /** Tells whether the client gets no new connection, because it had too many resets a moment ago. */
  shutsOut(client: string): boolean {
    const until = this.#until.get(client)
    if (until === undefined) return false
    if (until > this.#clock.now()) return true
    this.#until.delete(client)
    return false
  }
}
