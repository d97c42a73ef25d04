import { ShadowError } from '../lib/errors.ts'
import type { HoldKind } from '../model/instance.ts'

export type Hold = Disposable & { readonly kind: HoldKind; readonly what: string; readonly since: number }

/** Who uses an app: each hold, and each request that waits for it. Counted exactly: a second release is a bug, and thrown. */
export class Holds {
  readonly #all = new Set<Hold>()
  readonly #onLeave: () => void
  #counting = 0
  #waiting = 0

  /** `onLeave` is called whenever one that counts has left. */
  constructor(onLeave: () => void) {
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
  enter(kind: HoldKind, what: string, since: number, counts: boolean): Hold {
    const hold: Hold = { kind, what, since, [Symbol.dispose]: () => this.#leave(hold, counts) }
    this.#all.add(hold)
    if (counts) this.#counting++
    return hold
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
        this.#onLeave()
      },
    }
  }

  #leave(hold: Hold, counts: boolean): void {
    if (!this.#all.delete(hold)) throw releasedTwice(hold.what)
    if (!counts) return
    this.#counting--
    this.#onLeave()
  }
}

const releasedTwice = (what: string): ShadowError =>
  new ShadowError('internal', `the hold of "${what}" was released twice`)
