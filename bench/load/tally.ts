import type { Outcome } from '../lib/load.ts'

const FINEST_US = 2
const SLOTS = 500_000 // up to a second; slower answers count as a second

/** Counts answers and their durations, in slots of 2 µs. */
export class Tally {
  readonly #slots = new Uint32Array(SLOTS)
  #done = 0
  #failed = 0

  count(good: boolean, sinceMs: number): void {
    if (!good) {
      this.#failed++
      return
    }
    this.#done++
    const slot = Math.min(SLOTS - 1, Math.floor(((performance.now() - sinceMs) * 1e3) / FINEST_US))
    this.#slots[slot] = (this.#slots[slot] ?? 0) + 1
  }

  outcome(): Omit<Outcome, 'seconds'> {
    return { done: this.#done, failed: this.#failed, p50Us: this.#at(0.5), p99Us: this.#at(0.99) }
  }

  #at(part: number): number {
    let left = this.#done * part
    const slot = this.#slots.findIndex(count => {
      left -= count
      return left < 0
    })
    return slot * FINEST_US
  }
}
