import type { Clock } from '../../clock.ts'
import { Buckets, type Rate } from '../../shared/buckets.ts'

/** A browser that leaves a page resets what it had open, at once; behind one address there may be an office of them. Nobody does so all the time. */
const RATE: Rate = { perSecond: 100, burst: 1_000 }

/**
 * Bounds how many streams one client may begin and leave before they are answered (rapid reset, CVE-2023-44487), by all of its connections
 * together: nghttp2 bounds them for each connection alone.
 */
export class Resets {
  readonly #buckets: Buckets
  readonly #clock: Clock

  constructor(clock: Clock, buckets = new Buckets()) {
    this.#clock = clock
    this.#buckets = buckets
  }

  /** Counts one; false: the client has had too many. */
  take(client: string): boolean {
    return this.#buckets.take(client, RATE, this.#clock.now()) === 0
  }
}
