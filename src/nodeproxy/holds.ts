import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Ask, Grant, HoldKind, StopReason } from '../model/instance.ts'
import type { TaskDefinition } from '../model/task.ts'

export type Hold = Disposable & {
  readonly kind: HoldKind
  readonly what: string
  readonly since: number
  readonly grant: Grant | undefined
}

/** How one has left: whether that was use which puts the sleep off, and when it ended where that was not just now. */
export type Left = { readonly putsOff: boolean; readonly at?: number | undefined }

// How long those in flight may go on when the app is to stop though it is used.
const DRAIN_MS: Readonly<Record<StopReason, number>> = {
  idle: 0,
  died: 0,
  asked: 10_000,
  shutdown: 10_000,
  removed: 10_000,
  updated: 30_000,
}

/** Who uses an app: each hold, and each request that waits for it. Counted exactly: a second release is a bug, and thrown. */
export class Holds {
  readonly #all = new Set<Hold>()
  readonly #onLeave: (left: Left) => void
  #counting = 0
  #waiting = 0
  #onDrained: (() => void) | undefined

  /** `onLeave` is called whenever one that counts has left, or has waited. */
  constructor(onLeave: (left: Left) => void) {
    this.#onLeave = onLeave
  }

  get inUse(): boolean {
    return this.#counting > 0 || this.#waiting > 0
  }

  get waiting(): number {
    return this.#waiting
  }

  get all(): Iterable<Hold> {
    return this.#all
  }

  /** Enters a holder; one that does not count (a WebSocket of an app that ignores them) is listed, but keeps nothing awake. */
  enter(ask: Ask, { webSockets }: TaskDefinition['sleep'], since: number): Hold {
    const { kind, mayWake, grant } = ask
    const counts = kind !== 'websocket' || webSockets === 'hold'
    // A check that may not wake the app is use while it lasts, but a row of them must not keep the app from sleeping.
    const hold: Hold = {
      kind,
      get what() {
        return ask.what
      },
      since,
      grant,
      [Symbol.dispose]: () => this.#leave(hold, counts, mayWake),
    }
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
        this.#onLeave({ putsOff: true })
      },
    }
  }

  /** Tells those who hold for others that nothing new may begin. */
  revoke(): void {
    for (const { grant } of this.#all) grant?.revoke()
  }

  /** Resolves when all who count have left, or had their time; those who wait do not count yet. */
  async drain(why: StopReason, clock: Clock): Promise<void> {
    if (this.#counting === 0 || DRAIN_MS[why] === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onDrained = resolve
    using _limit = clock.after(DRAIN_MS[why], resolve)
    await promise
    this.#onDrained = undefined
  }

  #leave(hold: Hold, counts: boolean, putsOff: boolean): void {
    if (!this.#all.delete(hold)) throw releasedTwice(hold.what)
    if (!counts) return
    this.#counting--
    this.#onLeave(hold.grant === undefined ? { putsOff } : leftUnder(hold.grant))
    if (this.#counting === 0) this.#onDrained?.()
  }
}

const leftUnder = ({ lastUsedAt }: Grant): Left => ({ putsOff: lastUsedAt !== undefined, at: lastUsedAt })

const releasedTwice = (what: string): ShadowError =>
  new ShadowError('internal', `the hold of "${what}" was released twice`)
