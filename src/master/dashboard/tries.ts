import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'

const MOST = 10
const WITHIN_MS = 60_000
const MOST_ADDRESSES = 10_000

/**
 * How often somebody at an address was wrong of late. Tokens and codes cannot be guessed; the limit spares the store the reads, and tells
 * a person that something else is wrong. Each master counts for itself.
 */
export class WrongTries {
  readonly #clock: Pick<Clock, 'now'>
  readonly #counts = new Map<string, { count: number; until: number }>()

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** Fails with `rate-limited` if too many from this address were wrong. */
  mustBeFew(address: string): void {
    const left = (this.#counts.get(address)?.until ?? 0) - this.#clock.now()
    if (left <= 0) this.#counts.delete(address)
    if ((this.#counts.get(address)?.count ?? 0) < MOST) return
    throw new ShadowError('rate-limited', `there were ${MOST} wrong tries to sign in from ${address}`, {
      retryAfterMs: left,
    })
  }

  add(address: string): void {
    if (this.#counts.size >= MOST_ADDRESSES) this.#counts.clear()
    const before = this.#counts.get(address) ?? { count: 0, until: this.#clock.now() + WITHIN_MS }
    this.#counts.set(address, { ...before, count: before.count + 1 })
  }
}
