import { ShadowError } from '../lib/errors.ts'
import type { Held, HoldRequest } from '../model/instance.ts'

/** The destination of a hold's requests: one run of an app. */
export type Target = {
  /** `ip:port` */
  readonly address: string
  /** Identifies this run of the app: the id of its container. */
  readonly run: string
  /** The revision that runs there. */
  readonly release?: number | undefined
  /** See `Held.refused`. */
  readonly refused: () => Promise<void>
  /** See `Held.alive`. */
  readonly alive: () => Promise<void>
  /** See `Held.badAnswer`. */
  readonly badAnswer: (fault: string) => void
  /** See `Held.answersUntil`. */
  readonly answersUntil?: Float64Array | undefined
  /** See `Held.requests`. */
  readonly requests?: Int32Array | undefined
}

const NO_HEADERS = {}

/** One request or WebSocket that holds an app, until it is disposed of. A second disposal is a bug, and throws. */
export class Hold<T extends Target = Target> implements Held {
  readonly headers = NO_HEADERS
  readonly request: HoldRequest
  readonly target: T
  /** When it began, by the clock. */
  readonly since: number
  waited: Held['waited']
  /** Its index in the list; -1 once it has left. */
  at: number
  readonly #leave: (hold: Hold<T>) => void

  constructor(of: { request: HoldRequest; target: T; since: number; at: number }, leave: (hold: Hold<T>) => void) {
    this.request = of.request
    this.target = of.target
    this.since = of.since
    this.at = of.at
    this.#leave = leave
  }

  get address(): string {
    return this.target.address
  }

  get run(): string {
    return this.target.run
  }

  get release(): number | undefined {
    return this.target.release
  }

  get alive(): () => Promise<void> {
    return this.target.alive
  }

  get refused(): () => Promise<void> {
    return this.target.refused
  }

  get answersUntil(): Float64Array | undefined {
    return this.target.answersUntil
  }

  get requests(): Int32Array | undefined {
    return this.target.requests
  }

  get badAnswer(): (fault: string) => void {
    return this.target.badAnswer
  }

  [Symbol.dispose](): void {
    this.#leave(this)
  }
}

/** The holds of an app, or those under one grant. Adding and removing take constant time. */
export class HoldList<T extends Target = Target> {
  // Not a Set: when many holds come and go, the tables that a Set discards keep each other, and all holds that they contained, alive
  // until a full garbage collection.
  readonly #all: Hold<T>[] = []
  readonly #onLeave: (hold: Hold<T>) => void

  constructor(onLeave: (hold: Hold<T>) => void) {
    this.#onLeave = onLeave
  }

  enter(request: HoldRequest, target: T, since: number): Hold<T> {
    const hold = new Hold({ request, target, since, at: this.#all.length }, this.#leave)
    this.#all.push(hold)
    return hold
  }

  get size(): number {
    return this.#all.length
  }

  /** A copy in no order: holds may be removed while the caller iterates. */
  get all(): readonly Hold<T>[] {
    return this.#all.slice()
  }

  /** A copy, the oldest hold first. */
  get oldestFirst(): readonly Hold<T>[] {
    return this.#all.toSorted((a, b) => a.since - b.since)
  }

  // The last hold moves to the index of the removed one.
  readonly #leave = (hold: Hold<T>): void => {
    const { at } = hold
    const last = this.#all[this.#all.length - 1]
    if (at < 0 || last === undefined) throw releasedTwice(hold.request.what)
    this.#all[at] = last
    last.at = at
    this.#all.pop()
    hold.at = -1
    this.#onLeave(hold)
  }
}

export const releasedTwice = (what: string): ShadowError =>
  new ShadowError('internal', `the hold of "${what}" was released twice`)
