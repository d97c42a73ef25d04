import type { Clock } from '../clock.ts'

/**
 * Whether a value that was checked since the stream of changes began is still the newest. An open stream alone does not prove it:
 * the source also has to go on confirming that it has sent all changes.
 */
export class Freshness {
  /** Grows with each stream: a value that was checked in an earlier term may have changed in between. */
  term = 0
  readonly #clock: Clock
  readonly #provenForMs: number
  #isOpen = false
  #provenAt = Number.NEGATIVE_INFINITY

  /** `provenForMs`: for how long one confirmation by the source counts. */
  constructor(clock: Clock, provenForMs: number) {
    this.#clock = clock
    this.#provenForMs = provenForMs
  }

  get isFresh(): boolean {
    return this.#isOpen && this.#clock.now() - this.#provenAt < this.#provenForMs
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** A stream has begun. */
  opened(): void {
    this.term++
    this.#isOpen = true
    this.proven()
  }

  /** The source confirms that it has sent all changes. */
  proven(): void {
    this.#provenAt = this.#clock.now()
  }

  /** The stream has ended. */
  ended(): void {
    this.#isOpen = false
  }
}
