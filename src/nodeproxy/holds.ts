import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Ask, Grant, Held, HoldKind } from '../model/instance.ts'
import type { TaskDefinition } from '../model/task.ts'

/** How an app that is awake is reached. */
export type Way = {
  /** `ip:port` */
  readonly address: string
  /** Names this run of the app: the id of its container. */
  readonly run: string
  readonly webSockets: TaskDefinition['sleep']['webSockets']
  /** See `Held.refused`. */
  readonly refused: () => Promise<void>
  /** See `Held.alive`. */
  readonly alive: () => Promise<void>
  /** An answer of it was refused: keeps what is wrong with it. */
  readonly badAnswer: (fault: string) => void
}

const NO_HEADERS = {}

/** One that uses an app, until it is disposed of, and its way there. */
export class Hold implements Held {
  readonly headers = NO_HEADERS
  readonly since: number
  waited: Held['waited']
  /** Where it is among all; -1 once it has left. */
  at: number
  readonly #ask: Ask
  readonly #way: Way
  readonly #leave: (hold: Hold) => void

  constructor(ask: Ask, way: Way, since: number, at: number, leave: (hold: Hold) => void) {
    this.#ask = ask
    this.#way = way
    this.since = since
    this.at = at
    this.#leave = leave
  }

  get address(): string {
    return this.#way.address
  }

  get run(): string {
    return this.#way.run
  }

  get alive(): () => Promise<void> {
    return this.#way.alive
  }

  get refused(): () => Promise<void> {
    return this.#way.refused
  }

  get badAnswer(): (fault: string) => void {
    return this.#way.badAnswer
  }

  get kind(): HoldKind {
    return this.#ask.kind
  }

  get what(): string {
    return this.#ask.what
  }

  /** Whether it keeps nothing awake. */
  get isIgnored(): boolean {
    return this.#ask.kind === 'websocket' && this.#way.webSockets !== 'hold'
  }

  goAway(): void {
    this.#ask.goAway?.()
    this.#ask.grant?.goAway()
  }

  get grant(): Grant | undefined {
    return this.#ask.grant
  }

  /** A check that may not wake the app is use while it lasts, but a row of them must not keep the app from sleeping. */
  get putsOff(): boolean {
    return this.#ask.mayWake
  }

  [Symbol.dispose](): void {
    this.#leave(this)
  }
}

/** How one has left: whether that was use which puts the sleep off, and when it ended where that was not just now. */
export type Left = { readonly putsOff: boolean; readonly at?: number | undefined }

/** Who uses an app: each hold, and each request that waits for it. Counted exactly: a second release is a bug, and thrown. */
export class Holds {
  // No Set: where many enter and leave, its discarded tables keep one another and all that was in them alive until a full collection.
  readonly #all: Hold[] = []
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

  /** Who holds it, those included for whom a grant stands. */
  get holding(): number {
    return this.#all.reduce((sum, { grant }) => sum + (grant?.holds.length ?? 1), 0)
  }

  get waiting(): number {
    return this.#waiting
  }

  /** The oldest first. */
  get all(): readonly Hold[] {
    return this.#all.toSorted((a, b) => a.since - b.since)
  }

  /** Enters a holder; one that does not count (a WebSocket of an app that ignores them) is listed, but keeps nothing awake. */
  enter(ask: Ask, way: Way, since: number): Hold {
    const counts = ask.kind !== 'websocket' || way.webSockets === 'hold'
    const hold = new Hold(ask, way, since, this.#all.length, counts ? this.#leaves : this.#goes)
    this.#all.push(hold)
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
        this.#onLeave(USE)
      },
    }
  }

  /** Tells those who hold for others that nothing new may begin. */
  revoke(): void {
    for (const { grant } of this.#all) grant?.revoke()
  }

  /** Tells the WebSockets that are open that the app stops. */
  goAway(): void {
    for (const hold of this.#all.slice()) if (hold.kind === 'websocket') hold.goAway()
  }

  /** Resolves when all who count have left, or had `withinMs`; with how many are left, to be cut. Those who wait do not count yet. */
  async drain(withinMs: number, clock: Clock): Promise<number> {
    if (this.#counting === 0 || withinMs === 0) return this.#counting
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onDrained = resolve
    using _limit = clock.after(withinMs, resolve)
    await promise
    this.#onDrained = undefined
    return this.#counting
  }

  readonly #leaves = (hold: Hold): void => {
    this.#goes(hold)
    this.#counting--
    this.#onLeave(hold.grant === undefined ? (hold.putsOff ? USE : NO_USE) : leftUnder(hold.grant))
    if (this.#counting === 0) this.#onDrained?.()
  }

  readonly #goes = (hold: Hold): void => {
    const { at } = hold
    const last = this.#all[this.#all.length - 1]
    if (at < 0 || last === undefined) throw releasedTwice(hold.what)
    this.#all[at] = last
    last.at = at
    this.#all.pop()
    hold.at = -1
  }
}

const USE: Left = { putsOff: true }
const NO_USE: Left = { putsOff: false }
const leftUnder = ({ lastUsedAt }: Grant): Left => ({ putsOff: lastUsedAt !== undefined, at: lastUsedAt })

const releasedTwice = (what: string): ShadowError =>
  new ShadowError('internal', `the hold of "${what}" was released twice`)
