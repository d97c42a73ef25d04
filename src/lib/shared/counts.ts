import { SET, Table, tableMemory } from './table.ts'

const SLOTS = 65_536

/** The memory of `Counts` for `slots` keys that count at the same time, better twice as many, and this many threads. */
export function countsMemory({ slots = SLOTS, threads = 1 } = {}): SharedArrayBuffer {
  const memory = tableMemory(slots, 4 * threads)
  new Int32Array(memory)[3] = threads
  return memory
}

/**
 * An exact count for each key, in memory that several threads may share; each thread has an instance with its own number.
 * If there is no free slot for a new key, nothing can be taken for it: an uncounted take could not be given back.
 */
export class Counts {
  readonly memory: SharedArrayBuffer
  readonly #table: Table
  readonly #threads: number
  readonly #thread: number
  /** For each slot, how much each thread has taken, so that it can be given back when a thread dies. */
  readonly #taken: Int32Array

  constructor(memory: SharedArrayBuffer = countsMemory(), thread = 0) {
    this.memory = memory
    this.#table = new Table(memory)
    this.#threads = new Int32Array(memory)[3] ?? 1
    this.#thread = thread
    this.#taken = new Int32Array(memory, this.#table.valuesAt)
  }

  /** Adds one to the count, unless it is `most` already; returns whether it did. */
  take(key: string, most: number): boolean {
    const table = this.#table
    const slot = table.enter(key)
    const taken = slot === -1 ? this.#claim(most) : this.#sum(slot) < most && this.#add(slot, 1)
    table.leave()
    return taken
  }

  /** Subtracts one that this thread has added. */
  give(key: string): void {
    const table = this.#table
    const slot = table.enter(key)
    if (slot !== -1 && this.#own(slot) > 0) {
      this.#add(slot, -1)
      if (this.#sum(slot) === 0) table.free(slot)
    }
    table.leave()
  }

  of(key: string): number {
    const slot = this.#table.enter(key)
    const count = slot === -1 ? 0 : this.#sum(slot)
    this.#table.leave()
    return count
  }

  /** Gives back everything that a dead thread had taken. */
  giveAll(thread: number): void {
    const table = this.#table
    for (let set = 0; set < table.sets; set++) {
      table.enterSet(set)
      for (let slot = table.first; slot < table.first + SET; slot++) {
        if (table.isFree(slot)) continue
        this.#taken[slot * this.#threads + thread] = 0
        if (this.#sum(slot) === 0) table.free(slot)
      }
      table.leave()
    }
  }

  #claim(most: number): boolean {
    const { first } = this.#table
    if (most < 1) return false
    for (let slot = first; slot < first + SET; slot++) {
      if (!this.#table.isFree(slot)) continue
      this.#taken.fill(0, slot * this.#threads, (slot + 1) * this.#threads)
      this.#table.claim(slot)
      return this.#add(slot, 1)
    }
    return false
  }

  #own(slot: number): number {
    return this.#taken[slot * this.#threads + this.#thread] ?? 0
  }

  #add(slot: number, by: number): true {
    this.#taken[slot * this.#threads + this.#thread] = this.#own(slot) + by
    return true
  }

  #sum(slot: number): number {
    const from = slot * this.#threads
    let sum = 0
    for (let at = from; at < from + this.#threads; at++) sum += this.#taken[at] ?? 0
    return sum
  }
}
