const FREE_TRIES = 3
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 300_000
/** A run that was ready and lived for this long was no failed start. */
export const LIVED_MS = 60_000

/** Failures of an app in a row, and how long to leave it alone after them: not at all at first, then 1 s doubling to 5 min. */
export class Crashes {
  #count = 0
  #retryAt = 0

  get count(): number {
    return this.#count
  }

  /** When the next try may be made; in the past where it may be made now. */
  get retryAt(): number {
    return this.#retryAt
  }

  failed(now: number): void {
    this.#count++
    const pause =
      this.#count < FREE_TRIES ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (this.#count - FREE_TRIES), LONGEST_PAUSE_MS)
    this.#retryAt = now + pause
  }

  /** A person wants another try now; the count stays. */
  tryNow(): void {
    this.#retryAt = 0
  }

  forget(): void {
    this.#count = 0
    this.#retryAt = 0
  }
}
