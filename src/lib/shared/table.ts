import { randomFillSync, randomInt } from 'node:crypto'

/** The number of slots that share one lock. All of them are compared: at half load, about one set in ten million overflows. */
export const SET = 64
const HEAD = 4
const SPINS = 200
const WAIT_MS = 0.1
// The work under a lock takes less than a microsecond: a thread that holds one for this long has died.
const DEAD_AFTER_MS = 1_000

/** The memory of a table for `slots` keys at the same time, with `bytesPerSlot` for each. */
export function tableMemory(slots: number, bytesPerSlot: number): SharedArrayBuffer {
  const sets = Math.max(1, Math.ceil(slots / SET))
  const words = wordsBefore(sets)
  const memory = new SharedArrayBuffer(words * 4 + sets * SET * bytesPerSlot)
  randomFillSync(new Uint8Array(memory, 0, 8)) // so that nobody outside can choose keys that fall into the same set
  new Int32Array(memory)[2] = sets
  return memory
}

/** Per set a lock, and two words of hash for each slot; rounded to an even number of words, because 64-bit values may follow. */
const wordsBefore = (sets: number): number => HEAD + sets + (sets % 2) + 2 * sets * SET

/**
 * Maps keys to slots in memory that several threads share: sets of slots, chosen by a seeded 64-bit hash of the key, which stands for the
 * key.
 * A set is locked from `enter` to `leave`; in between the values of its slots may be read and written.
 */
export class Table {
  readonly sets: number
  /** The first slot of the locked set. */
  first = 0
  /** The offset at which the values of the slots begin. */
  readonly valuesAt: number
  readonly #words: Int32Array
  readonly #seedA: number
  readonly #seedB: number
  readonly #lo: number
  readonly #hi: number
  readonly #deadAfterMs: number
  /** The value of our lock: a different number each time, so that two locks by this thread cannot be mistaken for each other. */
  #ticket = randomInt(2 ** 31)
  #set = 0
  #a = 0
  #b = 0

  constructor(memory: SharedArrayBuffer, deadAfterMs = DEAD_AFTER_MS) {
    this.#deadAfterMs = deadAfterMs
    this.#words = new Int32Array(memory)
    const [seedA = 0, seedB = 0, sets = 0] = this.#words
    this.#seedA = seedA
    this.#seedB = seedB
    this.sets = sets
    this.#lo = HEAD + sets + (sets % 2)
    this.#hi = this.#lo + sets * SET
    this.valuesAt = wordsBefore(sets) * 4
  }

  /** Locks the key's set and returns the key's slot, or -1. */
  enter(key: string): number {
    this.#hash(key)
    this.enterSet((this.#b >>> 0) % this.sets)
    const words = this.#words
    const end = this.#lo + this.first + SET
    const shift = this.#hi - this.#lo
    for (let at = this.#lo + this.first; at < end; at++)
      if (words[at] === this.#a && words[at + shift] === this.#b) return at - this.#lo
    return -1
  }

  enterSet(set: number): void {
    const lock = HEAD + set
    this.#ticket = (this.#ticket + 1) | 0 || 1
    for (let spins = 0; Atomics.compareExchange(this.#words, lock, 0, this.#ticket) !== 0; spins++)
      if (spins === SPINS) {
        this.#wait(lock)
        break
      }
    this.#set = set
    this.first = set * SET
  }

  leave(): void {
    // Not if another thread has taken the lock over because it thought us dead.
    Atomics.compareExchange(this.#words, HEAD + this.#set, this.#ticket, 0)
  }

  /** Gives a slot of the locked set to the key of `enter`. */
  claim(slot: number): void {
    this.#words[this.#hi + slot] = this.#b
    this.#words[this.#lo + slot] = this.#a
  }

  isFree(slot: number): boolean {
    return this.#words[this.#lo + slot] === 0
  }

  free(slot: number): void {
    this.#words[this.#lo + slot] = 0
  }

  #wait(lock: number): void {
    let holder = 0
    let since = 0
    for (;;) {
      const now = Atomics.compareExchange(this.#words, lock, 0, this.#ticket)
      if (now === 0) return
      if (now !== holder) {
        holder = now
        since = performance.now()
      } else if (performance.now() - since > this.#deadAfterMs) {
        // Of all the threads that wait for a dead one, one takes the lock over.
        if (Atomics.compareExchange(this.#words, lock, holder, this.#ticket) === holder) return
      }
      Atomics.wait(this.#words, lock, now, WAIT_MS)
    }
  }

  /** Two lanes of multiply and shift, finished as MurmurHash3 does it. The first word is never 0, because 0 marks a free slot. */
  #hash(key: string): void {
    let a = this.#seedA
    let b = this.#seedB
    for (let at = 0; at < key.length; at++) {
      const code = key.charCodeAt(at)
      a = Math.imul(a ^ code, 0x9e3779b1)
      a ^= a >>> 15
      b = Math.imul(b ^ code, 0x85ebca77)
      b ^= b >>> 13
    }
    this.#a = mixed(a ^ key.length) || 1
    this.#b = mixed(b + a)
  }
}

function mixed(word: number): number {
  let h = word
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) | 0
}
