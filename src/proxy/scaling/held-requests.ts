import type { Clock } from '../../lib/clock.ts'
import type { ShadowError } from '../../lib/errors.ts'
import type { Gauge } from '../../lib/shared/gauges.ts'

type Options = {
  readonly clock: Clock
  /** Counts those that wait, in all threads. */
  readonly gauge: Gauge
  readonly withinMs: number
  /** Called while requests wait, at most every TOLD_EVERY_MS. */
  readonly onHeld: () => void
  /** The error for a request that has waited too long. */
  readonly tooLate: () => ShadowError
}

type Waiting = {
  /** Returns whether the request got what it waits for. */
  readonly admit: () => boolean
  /** Others may get a place before it, since it cannot use every place. */
  readonly mayBePassed: boolean
}

const TOLD_EVERY_MS = 100
// This thread is not notified when another thread gives a place back, so it looks at this interval.
const LOOK_EVERY_MS = 20

/** Requests that wait for a place at an instance; first come, first served in each thread. */
export class HeldRequests {
  readonly #options: Options
  readonly #queue = new Set<Waiting>()
  #isLooking = false
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(options: Options) {
    this.#options = options
  }

  get size(): number {
    return this.#queue.size
  }

  /** Resolves with what `attempt` returns, once that is not undefined. Rejects with the error of `tooLate`, or the signal's reason. */
  async wait<T>(attempt: () => T | undefined, signal: AbortSignal, mayBePassed: boolean): Promise<T> {
    const { clock, gauge, withinMs, tooLate } = this.#options
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const waiting: Waiting = {
      admit: () => {
        const got = attempt()
        if (got === undefined) return false
        this.#queue.delete(waiting)
        resolve(got)
        return true
      },
      mayBePassed,
    }
    // It leaves the queue at once: a place that it was given after this would be lost.
    const giveUp = (error: unknown): void => {
      this.#queue.delete(waiting)
      reject(error)
    }
    const leave = (): void => giveUp(signal.reason)
    using _limit = clock.after(withinMs, () => giveUp(tooLate()))
    signal.addEventListener('abort', leave, { once: true })
    this.#queue.add(waiting)
    gauge.force()
    this.#tell()
    this.#lookLater()
    try {
      return await promise
    } finally {
      gauge.give()
      signal.removeEventListener('abort', leave)
    }
  }

  /** There may be places. */
  admit(): void {
    for (const waiting of this.#queue) {
      if (!waiting.admit() && !waiting.mayBePassed) return
    }
  }

  #tell(): void {
    const now = this.#options.clock.now()
    if (now - this.#toldAt < TOLD_EVERY_MS) return
    this.#toldAt = now
    this.#options.onHeld()
  }

  /** One timer for all that wait. */
  #lookLater(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.#isLooking = false
      this.admit()
      if (this.#queue.size === 0) return
      this.#tell()
      this.#lookLater()
    })
  }
}
