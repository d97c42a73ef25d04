import { SET, Table, tableMemory } from './table.ts'

const SLOTS = 16_384

/** The memory of `Gauges` for `slots` keys, better twice as many, and this many threads. */
export function gaugesMemory({ slots = SLOTS, threads = 1 } = {}): SharedArrayBuffer {
  const memory = tableMemory(slots, 4 * threads)
  new Int32Array(memory)[3] = threads
  return memory
}

/**
 * How many of something are in use, counted by several threads together. Each thread writes its own word: so no count is lost,
 * and the count of a dead thread can be given back.
 */
export class Gauge {
  readonly #words: Int32Array
  readonly #from: number
  readonly #to: number
  readonly #own: number

  constructor(words: Int32Array, from: number, threads: number, thread: number) {
    this.#words = words
    this.#from = from
    this.#to = from + threads
    this.#own = from + thread
  }

  /**
   * Adds one, unless `most` are in use. If two threads try to take the last one at the same time, both may be refused, but never both
   * succeed.
   */
  take(most: number): boolean {
    Atomics.add(this.#words, this.#own, 1)
    if (this.used <= most) return true
    Atomics.sub(this.#words, this.#own, 1)
    return false
  }

  /** Adds one in any case. */
  force(): void {
    Atomics.add(this.#words, this.#own, 1)
  }

  /** Subtracts one that this thread has added. */
  give(): void {
    Atomics.sub(this.#words, this.#own, 1)
  }

  /** How many are in use in all threads. */
  get used(): number {
    let sum = 0
    for (let at = this.#from; at < this.#to; at++) sum += Atomics.load(this.#words, at)
    return sum
  }
}

/**
 * A gauge for each key, in memory that several threads may share; each thread has an instance with its own number. A caller looks a key up
 * once and keeps its gauge, unlike a key of `Counts`. If a set of slots is full, its keys share one gauge: the result is then too high,
 * never too low.
 */
export class Gauges {
  readonly memory: SharedArrayBuffer
  readonly #table: Table
  readonly #words: Int32Array
  readonly #threads: number
  readonly #thread: number

  constructor(memory: SharedArrayBuffer = gaugesMemory(), thread = 0) {
    this.memory = memory
    this.#table = new Table(memory)
    this.#threads = new Int32Array(memory)[3] ?? 1
    this.#thread = thread
    this.#words = new Int32Array(memory, this.#table.valuesAt)
  }

  of(key: string): Gauge {
    const table = this.#table
    let slot = table.enter(key)
    if (slot === -1) {
      slot = table.first
      while (slot < table.first + SET - 1 && !table.isFree(slot)) slot++
      if (table.isFree(slot)) table.claim(slot)
    }
    table.leave()
    return new Gauge(this.#words, slot * this.#threads, this.#threads, this.#thread)
  }

  /** Gives back everything that a dead thread had taken. */
  giveAll(thread: number): void {
    for (let at = thread; at < this.#words.length; at += this.#threads) Atomics.store(this.#words, at, 0)
  }
}
