import { type Clock, wallAt } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Ask, Held, HoldView } from '../model/instance.ts'
import { isNewer } from '../model/route.ts'
import type { Granted, Wanted } from './grants.ts'

const MOST_HOLDS = 100
const NO_HEADERS = {}

type GrantOptions = {
  readonly clock: Clock
  readonly refused: () => Promise<void>
  readonly alive: () => Promise<void>
  readonly badAnswer: (fault: string) => void
  /** The last request has left, or it was revoked and there is none. */
  readonly onUnused: () => void
}

/** One request under a grant. */
class Use {
  readonly ask: Ask
  readonly since: number
  readonly address: string
  readonly run: string
  readonly headers = NO_HEADERS
  readonly waited: Granted['waited']
  readonly refused: () => Promise<void>
  readonly alive: () => Promise<void>
  readonly badAnswer: (fault: string) => void
  /** Where it is in the list of its grant; -1 when it has left. */
  at: number
  readonly #leave: (use: Use) => void

  constructor(
    ask: Ask,
    at: number,
    of: Pick<Use, 'since' | 'address' | 'run' | 'waited' | 'refused' | 'alive' | 'badAnswer'>,
    leave: (use: Use) => void,
  ) {
    this.ask = ask
    this.at = at
    this.since = of.since
    this.address = of.address
    this.run = of.run
    this.alive = of.alive
    this.waited = of.waited
    this.refused = of.refused
    this.badAnswer = of.badAnswer
    this.#leave = leave
  }

  [Symbol.dispose](): void {
    this.#leave(this)
  }
}

/** Leave to hold an app, and the requests that hold it by that. */
export class Grant {
  readonly id: number
  isRevoked: boolean
  lastUsedAt: number | undefined
  /** Whether the last use was one that puts the sleep off. */
  lingers = false
  readonly #app: Wanted
  readonly #address: string
  readonly #run: string
  readonly #options: GrantOptions
  // No Set, as in the holds of an instance.
  readonly #uses: Use[] = []
  readonly #refused: () => Promise<void>

  constructor(app: Wanted, { grant, address, run, revoked }: Granted, options: GrantOptions) {
    this.id = grant
    this.#app = app
    this.#address = address
    this.#run = run
    this.isRevoked = revoked
    this.#options = options
    this.#refused = () => {
      this.isRevoked = true // it may have ended just now: who comes next has to ask
      return options.refused()
    }
  }

  get isUsed(): boolean {
    return this.#uses.length > 0
  }

  /** Whether it is for this: the node has to hear of a newer definition. */
  serves(wanted: Wanted): boolean {
    if (this.isRevoked) return false
    const app = this.#app
    return wanted === app || typeof wanted === 'string' || typeof app === 'string' || !isNewer(wanted, app)
  }

  enter(ask: Ask, waited?: Granted['waited']): Held {
    const { clock, alive, badAnswer } = this.#options
    const of = {
      since: clock.now(),
      address: this.#address,
      run: this.#run,
      waited,
      refused: this.#refused,
      alive,
      badAnswer,
    }
    const use = new Use(ask, this.#uses.length, of, this.#leave)
    this.#uses.push(use)
    return use
  }

  revoke(): void {
    this.isRevoked = true
    if (!this.isUsed) this.#options.onUnused()
  }

  goAway(): void {
    for (const { ask } of this.#uses.slice()) ask.goAway?.()
  }

  get holds(): HoldView[] {
    const first = this.#uses.toSorted((a, b) => a.since - b.since).slice(0, MOST_HOLDS)
    return first.map(({ ask: { kind, what }, since }) => ({
      kind,
      what,
      since: new Date(wallAt(this.#options.clock, since)).toISOString(),
    }))
  }

  readonly #leave = (use: Use): void => {
    const { at } = use
    const last = this.#uses[this.#uses.length - 1]
    if (at < 0 || last === undefined) throw releasedTwice(use.ask.what)
    this.#uses[at] = last
    last.at = at
    this.#uses.pop()
    use.at = -1
    this.lingers = use.ask.mayWake
    if (this.lingers) this.lastUsedAt = this.#options.clock.now()
    if (this.#uses.length === 0) this.#options.onUnused()
  }
}

const releasedTwice = (what: string): ShadowError =>
  new ShadowError('internal', `the hold of "${what}" was released twice`)
