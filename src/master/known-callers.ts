import type { Role } from '../api/call-shape.ts'
import type { DashboardSession } from '../api/dashboard-calls.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Scope } from '../model/scope.ts'

/**
 * The caller. For the role `node` the name is the name of the node: its credential is good for that node alone. `member`: the caller's id in
 * the cluster, if it showed a certificate.
 */
export type Caller = {
  readonly id: string
  readonly name: string
  readonly role: Role
  /** The apps that it is for: of the role owner. */
  readonly apps?: Scope | undefined
  readonly member?: string | undefined
  /** Set if the caller showed the cookie of the dashboard. */
  readonly session?: SignedIn | undefined
}

/** How a person signed in to the dashboard, under which name, and until when, by the wall clock. */
export type SignedIn = Pick<DashboardSession, 'name'> & {
  readonly by: DashboardSession['signedInBy']
  readonly until: number
}

/** For how long a master that cannot read the journal may still accept a revoked credential. */
const BELIEVED_FOR_MS = 30_000
const MOST_REMEMBERED = 10_000

type Options = {
  readonly clock: Clock
  /** Whether the store still has the credential of this id. */
  readonly isThere: (id: string) => Promise<boolean>
  /** What was revoked, for the error: `the token`. */
  readonly what: string
}

/** The callers whose credentials were found in the store. They are believed for a while, so that a call costs no read. */
export class KnownCallers {
  readonly #options: Options
  readonly #known = new Map<string, { caller: Caller; until: number }>()
  /** For each credential, the checks to run for its open streams. */
  readonly #open = new Map<string, Set<() => void>>()

  constructor(options: Options) {
    this.#options = options
  }

  /** The caller with this credential; undefined if it has to be read from the store. */
  get(id: string): Caller | undefined {
    const remembered = this.#known.get(id)
    if (remembered !== undefined && remembered.until > this.#options.clock.now()) return remembered.caller
    this.#known.delete(id)
    return undefined
  }

  keep(caller: Caller): Caller {
    if (this.#known.size >= MOST_REMEMBERED) this.#known.clear()
    this.#known.set(caller.id, { caller, until: this.#options.clock.now() + BELIEVED_FOR_MS })
    return caller
  }

  /** Fails with `unauthorised` if the credential was revoked, also if that was just now, by another master. */
  async mustBeThere(id: string): Promise<void> {
    const { isThere, what } = this.#options
    if (!(await isThere(id))) throw new ShadowError('unauthorised', `${what} was revoked`)
  }

  /** Another master may have revoked the credential: check it again when it is shown next, and now for its open streams. */
  revoked(id: string): void {
    this.#known.delete(id)
    for (const check of this.#open.get(id) ?? []) check()
  }

  /** Does as `revoked` for all credentials that match. */
  changed(matches: (id: string) => boolean): void {
    for (const id of new Set([...this.#known.keys(), ...this.#open.keys()])) if (matches(id)) this.revoked(id)
  }

  /**
   * Aborts with `unauthorised` when the credential is revoked, which ends the caller's stream. It checks the credential when the journal
   * names it, and every BELIEVED_FOR_MS. While the storage does not answer, the credential stays valid.
   */
  whileGood(id: string): Disposable & { readonly signal: AbortSignal } {
    const { clock, isThere, what } = this.#options
    const ended = new AbortController()
    let next: Disposable | undefined
    const check = (): void => {
      next?.[Symbol.dispose]()
      next = clock.after(BELIEVED_FOR_MS, check)
      isThere(id).then(
        there => there || ended.abort(new ShadowError('unauthorised', `${what} was revoked`)),
        () => undefined, // the next check asks again
      )
    }
    next = clock.after(BELIEVED_FOR_MS, check)
    const checks = this.#open.get(id) ?? new Set()
    this.#open.set(id, checks.add(check))
    return {
      signal: ended.signal,
      [Symbol.dispose]: () => {
        next?.[Symbol.dispose]()
        checks.delete(check)
        if (checks.size === 0) this.#open.delete(id)
      },
    }
  }
}
