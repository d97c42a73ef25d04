import type { Clock } from '../clock.ts'

const ASK_EVERY_MS = 1_000
/** Longer than a healthy thread is ever busy at a stretch: with garbage collection, a large JSON document, or an overloaded machine. */
const MISSES = 10

type Watched = { misses: number; isPinged: boolean; readonly ping: () => Promise<unknown>; readonly onHang: Hung }
type Hung = (unansweredMs: number) => void

/**
 * Finds threads that hang. It calls each thread once a second; a thread hangs if it has not answered for ten seconds in a row. A second in
 * which this thread itself was late does not count: the same cause (a sleeping machine, a stopped process, work of this thread) may have
 * delayed the other threads, or the reading of their answers.
 */
export class Watchdog implements Disposable {
  readonly #clock: Clock
  readonly #watched = new Set<Watched>()
  #dueAt = 0
  #alarm: Disposable | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Calls `onHang` once if `ping` gets no answer for too long. Disposing the result ends the watch. A failure of `ping` counts as an answer.
   */
  watch(ping: () => Promise<unknown>, onHang: Hung): Disposable {
    const watched: Watched = { misses: 0, isPinged: false, ping, onHang }
    this.#watched.add(watched)
    if (this.#alarm === undefined) this.#wait()
    return { [Symbol.dispose]: () => void this.#watched.delete(watched) }
  }

  [Symbol.dispose](): void {
    this.#watched.clear()
    this.#alarm?.[Symbol.dispose]()
  }

  #wait(): void {
    this.#dueAt = this.#clock.now() + ASK_EVERY_MS
    this.#alarm = this.#clock.after(ASK_EVERY_MS, () => {
      const wasLate = this.#clock.now() - this.#dueAt >= ASK_EVERY_MS
      for (const watched of this.#watched) this.#check(watched, wasLate)
      if (this.#watched.size > 0) this.#wait()
      else this.#alarm = undefined
    })
  }

  #check(watched: Watched, wasLate: boolean): void {
    if (!watched.isPinged) {
      void this.#ping(watched)
      return
    }
    if (wasLate) return
    watched.misses += 1
    if (watched.misses < MISSES) return
    this.#watched.delete(watched)
    watched.onHang(MISSES * ASK_EVERY_MS)
  }

  async #ping(watched: Watched): Promise<void> {
    watched.isPinged = true
    await watched.ping().catch(() => undefined) // see the doc of `watch`: a failure is an answer
    watched.isPinged = false
    watched.misses = 0
  }
}
