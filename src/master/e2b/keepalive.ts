import type { Clock } from '../../lib/clock.ts'

/** Sends something whenever a stream had nothing else for so long. */
export class Keepalive implements Disposable {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #send: () => Promise<void>
  #timer: Disposable | undefined
  #isOver = false

  constructor(clock: Clock, everyMs: number, send: () => Promise<void>) {
    this.#clock = clock
    this.#everyMs = everyMs
    this.#send = send
    this.used()
  }

  /** Something was sent. */
  used(): void {
    this.#timer?.[Symbol.dispose]()
    if (this.#isOver) return
    this.#timer = this.#clock.after(this.#everyMs, () => {
      void this.#send().then(() => this.used())
    })
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    this.#timer?.[Symbol.dispose]()
  }
}
