import type { Clock } from '../clock.ts'

const BEAT_MS = 1_000
/** Beyond all that a thread which works may be busy with at a stretch: garbage, a large JSON, a machine without a moment to spare. */
const MISSES = 10

type Watched = { misses: number; isAsked: boolean; readonly ask: () => Promise<unknown>; readonly onHang: Hung }
type Hung = (unansweredMs: number) => void

/**
 * Finds out who hangs: each is asked once a second, and hangs when it has not answered for ten seconds in a row. A second in which
 * this thread itself was late counts for nothing: what held it up, as a machine that sleeps, a process that is stopped or work of its
 * own, may have held up the others, and kept their answers from being read.
 */
export class Pulse implements Disposable {
  readonly #clock: Clock
  readonly #watched = new Set<Watched>()
  #dueAt = 0
  #alarm: Disposable | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Calls back once when it hangs; disposing it ends the watch. A failure of `ask` is an answer as good as any. */
  watch(ask: () => Promise<unknown>, onHang: Hung): Disposable {
    const watched: Watched = { misses: 0, isAsked: false, ask, onHang }
    this.#watched.add(watched)
    if (this.#alarm === undefined) this.#wait()
    return { [Symbol.dispose]: () => void this.#watched.delete(watched) }
  }

  [Symbol.dispose](): void {
    this.#watched.clear()
    this.#alarm?.[Symbol.dispose]()
  }

  #wait(): void {
    this.#dueAt = this.#clock.now() + BEAT_MS
    this.#alarm = this.#clock.after(BEAT_MS, () => {
      const wasLate = this.#clock.now() - this.#dueAt >= BEAT_MS
      for (const watched of this.#watched) this.#lookAt(watched, wasLate)
      if (this.#watched.size > 0) this.#wait()
      else this.#alarm = undefined
    })
  }

  #lookAt(watched: Watched, wasLate: boolean): void {
    if (!watched.isAsked) {
      void this.#ask(watched)
      return
    }
    if (wasLate) return
    watched.misses += 1
    if (watched.misses < MISSES) return
    this.#watched.delete(watched)
    watched.onHang(MISSES * BEAT_MS)
  }

  async #ask(watched: Watched): Promise<void> {
    watched.isAsked = true
    await watched.ask().catch(() => undefined) // told in the doc of `watch`
    watched.isAsked = false
    watched.misses = 0
  }
}
