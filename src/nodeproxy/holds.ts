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
  // No Set: each of its tables points on to the next, so that one that outlived its use keeps all that follow, and what they held, from being collected young.
  readonly #all: Entered[] = []
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

  /** Those who hold, oldest first. */
  get all(): readonly Hold[] {
    return this.#all.toSorted((one, other) => one.since - other.since)
  }

  /** Enters a holder; one that does not count (a WebSocket of an app that ignores them) is listed, but keeps nothing awake. */
  enter(ask: Ask, { webSockets }: TaskDefinition['sleep'], since: number): Hold {
    const hold = new Entered(ask, since, ask.kind !== 'websocket' || webSockets === 'hold', this.#leave)
    hold.place = this.#all.push(hold) - 1
    if (hold.counts) this.#counting++
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

  readonly #leave = (hold: Entered): void => {
    if (hold.place === LEFT) throw releasedTwice(hold.what)
    const last = this.#all.pop()
    if (last !== undefined && last !== hold) {
      this.#all[hold.place] = last
      last.place = hold.place
    }
    hold.place = LEFT
    if (!hold.counts) return
    this.#counting--
    this.#onLeave(hold.grant === undefined ? { putsOff: hold.putsOff } : leftUnder(hold.grant))
    if (this.#counting === 0) this.#onDrained?.()
  }
}

const LEFT = -1

class Entered implements Hold {
  readonly kind: HoldKind
  readonly since: number
  readonly grant: Grant | undefined
  readonly counts: boolean
  // A check that may not wake the app is use while it lasts, but a row of them must not keep the app from sleeping.
  readonly putsOff: boolean
  /** Where it stands among all. */
  place = LEFT
  readonly #ask: Ask
  readonly #leave: (hold: Entered) => void

  constructor(ask: Ask, since: number, counts: boolean, leave: (hold: Entered) => void) {
    this.kind = ask.kind
    this.since = since
    this.grant = ask.grant
    this.counts = counts
    this.putsOff = ask.mayWake
    this.#ask = ask
    this.#leave = leave
  }

  get what(): string {
    return this.#ask.what
  }

  [Symbol.dispose](): void {
    this.#leave(this)
  }
}

const leftUnder = ({ lastUsedAt }: Grant): Left => ({ putsOff: lastUsedAt !== undefined, at: lastUsedAt })

const releasedTwice = (what: string): ShadowError =>
  new ShadowError('internal', `the hold of "${what}" was released twice`)
