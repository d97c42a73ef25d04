import { SET, Table, tableMemory } from './table.ts'

const SLOTS = 65_536

/** The memory of `Buckets` for this many keys whose buckets are not full; better twice as many. */
export const bucketsMemory = (slots = SLOTS): SharedArrayBuffer => tableMemory(slots, 8)

export type Rate = { readonly perSecond: number; readonly burst: number }

/**
 * A token bucket for each key, in memory that several threads may share. If there is no free slot for a new key, the bucket that is
 * nearest to full is dropped, and its key gets that many extra tokens.
 */
export class Buckets {
  readonly memory: SharedArrayBuffer
  readonly #table: Table
  /** For each slot, the time at which its bucket is full again (GCRA: one number describes a bucket). */
  readonly #fullAt: Float64Array

  constructor(memory: SharedArrayBuffer = bucketsMemory()) {
    this.memory = memory
    this.#table = new Table(memory)
    this.#fullAt = new Float64Array(memory, this.#table.valuesAt)
  }

  /**
   * Takes a token and returns 0; without a free token, returns after how many milliseconds one is free. `perSecond` is above 0, `burst` at
   * least 1.
   */
  take(key: string, { perSecond, burst }: Rate, nowMs: number): number {
    const each = 1_000 / perSecond
    const slot = this.#enter(key)
    const kept = this.#fullAt[slot] ?? 0
    // Never later than for an empty bucket: the clock may have been set back, or the rate changed.
    const fullAt = Math.min(Math.max(kept, nowMs), nowMs + burst * each) + each
    const waitMs = fullAt - nowMs - burst * each
    if (waitMs <= EQUAL_MS) this.#fullAt[slot] = fullAt
    this.#table.leave()
    return waitMs <= EQUAL_MS ? 0 : waitMs
  }

  #enter(key: string): number {
    const table = this.#table
    const known = table.enter(key)
    if (known !== -1) return known
    let fullest = table.first
    for (let slot = table.first; slot < table.first + SET; slot++)
      if ((this.#fullAt[slot] ?? 0) < (this.#fullAt[fullest] ?? 0)) fullest = slot
    table.claim(fullest)
    this.#fullAt[fullest] = 0
    return fullest
  }
}

// In a double, milliseconds since 1970 have no finer resolution than this.
const EQUAL_MS = 0.001
