import { ShadowError } from '../lib/errors.ts'
import type { HoldKind } from '../model/instance.ts'

export type Hold = Disposable & { readonly kind: HoldKind; readonly what: string; readonly since: number }

/** Who uses an app: each hold, and each request that waits for it. Counted exactly: a second release is a bug, and thrown. */
export class Holds {
  readonly #all = new Set<Hold>()
  readonly #onLeave: (how: { putsOff: boolean }) => void
  #counting = 0
  #waiting = 0

  /** `onLeave` is called whenever one that counts has left, or has waited; `putsOff` whether that was use that puts the sleep off. */
  constructor(onLeave: (how: { putsOff: boolean }) => void) {
    this.#onLeave = onLeave
  }

  get inUse(): boolean {
    return this.#counting > 0 || this.#waiting > 0
  }

  /** Holders that count; those who wait are none yet. */
  get inFlight(): number {
    return this.#counting
  }

  get waiting(): number {
    return this.#waiting
  }

  get all(): Iterable<Hold> {
    return this.#all
  }

  /** Enters a holder; one that does not count (a WebSocket of an app that ignores them) is listed, but keeps nothing awake. */
  enter(hold: Omit<Hold, typeof Symbol.dispose>, { counts, putsOff }: { counts: boolean; putsOff: boolean }): Hold {
    const entered: Hold = { ...hold, [Symbol.dispose]: () => this.#leave(entered, counts, putsOff) }
    this.#all.add(entered)
    if (counts) this.#counting++
    return entered
  }

  /** Enters one that waits. */
  wait(): Disposable {
    let left = false
    this.#waiting++
    return {
      [Symbol.dispose]: () => {
        if (left) throw releasedTwice('a wait')
        left = true
        this.#waiting--
        this.#onLeave({ putsOff: true })
      },
    }
  }

  #leave(hold: Hold, counts: boolean, putsOff: boolean): void {
    if (!this.#all.delete(hold)) throw releasedTwice(hold.what)
    if (!counts) return
    this.#counting--
    this.#onLeave({ putsOff })
  }
}

const releasedTwice = (what: string): ShadowError =>
  new ShadowError('internal', `the hold of "${what}" was released twice`)
