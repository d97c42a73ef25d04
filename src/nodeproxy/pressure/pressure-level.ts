import type { Memory, MemoryStalls } from '../../lib/memory.ts'
import { sayBytes } from '../../model/quantities.ts'
import { floorBytesOf, type MemoryFloor } from './memory-floor.ts'

/** What a look at the machine finds. `stalls`: undefined where the kernel does not count them. */
export type MemorySample = { readonly memory: Memory; readonly stalls: MemoryStalls | undefined }

/** Why the machine is short of memory, in words. `isLate`: by an average that follows the machine some seconds late. */
export type Shortage = { readonly why: string; readonly isLate: boolean }

/** In percent of the time. Below the second one the machine has recovered. */
const STALLS_BEGIN = 10
const STALLS_END = 2
/**
 * Processes also wait for memory in a container that has reached its own limit. Nobody else can help that, so stalls count only while less than
 * this share of the memory is available.
 */
const STALLS_BELOW = 0.25
/** So many times the floor must be available before the machine counts as recovered. */
const RECOVERED = 1.25

/** Tells whether a machine is short of memory. A shortage begins and ends at different values, so that it does not come and go with each look. */
export class PressureLevel {
  readonly #floor: MemoryFloor
  #isShort = false

  constructor(floor: MemoryFloor) {
    this.#floor = floor
  }

  get isShort(): boolean {
    return this.#isShort
  }

  look({ memory, stalls }: MemorySample): Shortage | undefined {
    const { totalBytes, availableBytes } = memory
    const floor = floorBytesOf(this.#floor, totalBytes)
    if (floor === 0) return undefined
    const least = this.#isShort ? floor * RECOVERED : floor
    const most = this.#isShort ? STALLS_END : STALLS_BEGIN
    const isBelow = availableBytes < least
    const waits = stalls !== undefined && stalls.some >= most && availableBytes < STALLS_BELOW * totalBytes
    this.#isShort = isBelow || waits
    if (isBelow) return { why: `${sayBytes(availableBytes)} of ${sayBytes(totalBytes)} are available`, isLate: false }
    if (waits) return { why: `processes waited for memory for ${stalls.some} % of the time`, isLate: true }
    return undefined
  }
}
