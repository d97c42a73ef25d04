import type { Clock } from '../lib/clock.ts'
import { Buckets, bucketsMemory } from '../lib/shared/buckets.ts'

/** The burst, in seconds of lookups: a front that has just started knows no name. */
const BURST = 10

/** Bounds the lookups of hostnames that this front has never seen. Each costs a call to the master, and clients can make up any number of them. */
export class LookupLimit {
  /** Look-ups that were refused. */
  refused = 0
  readonly #perSecond: number
  readonly #clock: Clock
  readonly #bucket = new Buckets(bucketsMemory(1))

  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond
    this.#clock = clock
  }

  /** Whether one more may be looked up now; `isKept`: whether the front has the name from an earlier run. */
  mayLookUp(isKept: () => boolean): boolean {
    const rate = { perSecond: this.#perSecond, burst: BURST * this.#perSecond }
    if (this.#bucket.take('', rate, this.#clock.now()) === 0 || isKept()) return true
    this.refused += 1
    return false
  }
}
