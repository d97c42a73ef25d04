import { type Clock, wallAt } from '../lib/clock.ts'
import type { Held, HoldRequest, HoldView } from '../model/instance.ts'
import type { Granted } from './grant-protocol.ts'
import { type Hold, HoldList, type Target } from './hold-list.ts'

const MOST_HOLDS = 100
type GrantOptions = {
  readonly clock: Clock
  readonly refused: () => Promise<void>
  readonly alive: () => Promise<void>
  readonly badAnswer: (fault: string) => void
  /** Called when the grant has no requests any more, or when it was revoked and has none. */
  readonly onUnused: () => void
}

/** The permission to hold an app, and the requests that hold the app under it. */
export class Grant {
  readonly id: number
  isRevoked: boolean
  lastUsedAt: number | undefined
  /** Whether the last use was one that postpones the sleep. */
  lingers = false
  readonly #options: GrantOptions
  readonly #target: Target
  readonly #holds = new HoldList(hold => this.#left(hold))

  constructor({ grant, address, run, release, revoked, answersUntil, requests }: Granted, options: GrantOptions) {
    this.id = grant
    this.isRevoked = revoked
    this.#options = options
    const { alive, badAnswer } = options
    const refused = (): Promise<void> => {
      this.isRevoked = true // the run may have ended just now, so the next request needs a new grant
      return options.refused()
    }
    this.#target = { address, run, release, alive, badAnswer, refused, answersUntil, requests }
  }

  get isUsed(): boolean {
    return this.#holds.size > 0
  }

  enter(request: HoldRequest, waited?: Granted['waited']): Held {
    const hold = this.#holds.enter(request, this.#target, this.#options.clock.now())
    hold.waited = waited
    return hold
  }

  revoke(): void {
    this.isRevoked = true
    if (!this.isUsed) this.#options.onUnused()
  }

  goAway(): void {
    for (const { request } of this.#holds.all) request.goAway?.()
  }

  get holds(): HoldView[] {
    return this.#holds.oldestFirst.slice(0, MOST_HOLDS).map(({ request: { kind, what }, since }) => ({
      kind,
      what,
      since: new Date(wallAt(this.#options.clock, since)).toISOString(),
    }))
  }

  #left({ request }: Hold): void {
    this.lingers = request.mayWake
    if (this.lingers) this.lastUsedAt = this.#options.clock.now()
    if (!this.isUsed) this.#options.onUnused()
  }
}
