import type { Clock } from '../../clock.ts'
import { Buckets, type Rate } from '../../shared/buckets.ts'

/** A browser that leaves a page resets what it had open, at once; behind one address there may be an office of them. Nobody does so all the time. */
const RATE: Rate = { perSecond: 100, burst: 1_000 }

const SHUT_OUT_MS = 1_000
const MOST_KNOWN = 1_000

/**
 * Bounds how many streams one client may begin and leave before they are answered (rapid reset, CVE-2023-44487), by all of its connections
 * together: nghttp2 bounds them for each connection alone.
 */
export class Resets {
  readonly #buckets: Buckets
  readonly #clock: Clock
  /** Clients that are shut out, and until when. */
  readonly #until = new Map<string, number>()

  constructor(clock: Clock, buckets = new Buckets()) {
    this.#clock = clock
    this.#buckets = buckets
  }

  /** Counts one; false: the client has had too many. */
  take(client: string): boolean {
    const now = this.#clock.now()
    if (this.#buckets.take(client, RATE, now) === 0) return true
    if (this.#until.size >= MOST_KNOWN) this.#until.clear()
    this.#until.set(client, now + SHUT_OUT_MS)
    return false
  }

  /** Whether the client had too many a moment ago: then it gets no new connection. */
  shutsOut(client: string): boolean {
    const until = this.#until.get(client)
    if (until === undefined) return false
    if (until > this.#clock.now()) return true
    this.#until.delete(client)
    return false
  }
}
