import type { Clock } from './clock.ts'
import type { ShadowError } from './errors.ts'
import type { Gauge } from './shared/gauges.ts'

type Waiting = { readonly gauge: Gauge; readonly most: number }

// This thread is not notified when another thread gives a place back, so it looks at this interval.
const LOOK_EVERY_MS = 20

/**
 * The places of a service that serves a limited number at a time. All threads count them together. A caller without a place may wait in a
 * queue of limited length.
 */
export class ConcurrencyLimit {
  most = Number.POSITIVE_INFINITY
  readonly #gauge: Gauge
  readonly #waiting: Waiting | undefined
  /** The error for a caller that gets no place. */
  readonly tooMany: () => ShadowError
  readonly #clock: Clock
  readonly #queue = new Set<() => void>()
  #isLooking = false

  constructor(gauge: Gauge, waiting: Waiting | undefined, tooMany: () => ShadowError, clock: Clock) {
    this.#gauge = gauge
    this.#waiting = waiting
    this.tooMany = tooMany
    this.#clock = clock
  }

  /** Takes a place; false if there is none. `leave` gives it back. */
  enter(): boolean {
    return this.#queue.size === 0 && this.#gauge.take(this.most)
  }

  leave(): void {
    this.#gauge.give()
    if (this.#queue.size > 0) this.#admit()
  }

  /** Takes a place as soon as there is one; rejects with `queue-full`, or with the signal's reason. */
  async wait(signal: AbortSignal): Promise<void> {
    const waiting = this.#waiting
    if (waiting?.gauge.take(waiting.most) !== true) throw this.tooMany()
    try {
      await new Promise<void>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        const leave = (): void => {
          this.#queue.delete(admitted)
          reject(signal.reason)
        }
        const admitted = (): void => {
          signal.removeEventListener('abort', leave)
          resolve()
        }
        signal.addEventListener('abort', leave, { once: true })
        this.#queue.add(admitted)
        this.#lookLater()
      })
    } finally {
      waiting.gauge.give()
    }
  }

  #admit(): void {
    for (const admitted of this.#queue) {
      if (!this.#gauge.take(this.most)) return
      this.#queue.delete(admitted)
      admitted()
    }
  }

  /** One timer for all waiting callers. */
  #lookLater(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#clock.after(LOOK_EVERY_MS, () => {
      this.#isLooking = false
      this.#admit()
      if (this.#queue.size > 0) this.#lookLater()
    })
  }
}
