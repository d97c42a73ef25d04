import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Hostname } from '../../model/hostname.ts'
import { OPEN_VISITS_CHECKED_EVERY } from '../../model/intervals.ts'
import { type Session, type SessionToken, tokenCounts } from '../../model/session.ts'
import type { Routes } from '../routes.ts'

type Options = { readonly routes: Pick<Routes, 'resolve'>; readonly clock: Clock }
type Open = { readonly token: SessionToken; readonly revoked: AbortController; count: number }

/**
 * The visits by tokens that are open in this thread. Those of a token that is revoked are ended, WebSockets and streams too. A token that
 * expires opens nothing more, but ends nothing; the end of a session is up to its node, which lets requests finish.
 */
export class OpenVisits implements Disposable {
  readonly #options: Options
  readonly #open = new Map<Hostname, Map<string, Open>>()
  readonly #ending = new AbortController()
  #alarm: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Enters a visit; dispose the result when it is over. */
  enter(hostname: Hostname, token: SessionToken): Disposable & { readonly ended: AbortSignal } {
    const tokens = this.#open.get(hostname) ?? new Map<string, Open>()
    const open = tokens.get(token.hash) ?? { token, revoked: new AbortController(), count: 0 }
    open.count += 1
    this.#open.set(hostname, tokens.set(token.hash, open))
    this.#alarm ??= this.#options.clock.after(OPEN_VISITS_CHECKED_EVERY, () => void this.#check())
    return {
      ended: open.revoked.signal,
      [Symbol.dispose]: () => {
        open.count -= 1
        if (open.count > 0) return
        // Another one may have the place of a token that was revoked and given again.
        if (tokens.get(token.hash) === open) tokens.delete(token.hash)
        if (tokens.size === 0 && this.#open.get(hostname) === tokens) this.#open.delete(hostname)
      },
    }
  }

  /** Asking for the route of an open visit keeps that route among those whose changes are looked for. */
  async #check(): Promise<void> {
    const { routes, clock } = this.#options
    for (const [hostname, tokens] of this.#open) {
      try {
        const { session } = await routes.resolve(hostname, this.#ending)
        if (session !== undefined) this.#endRevoked(session, tokens)
      } catch {
        // The master is away or the session is gone; neither revokes a token.
      }
    }
    if (this.#ending.signal.aborted) return
    this.#alarm = this.#open.size === 0 ? undefined : clock.after(OPEN_VISITS_CHECKED_EVERY, () => void this.#check())
  }

  #endRevoked({ ending, tokens: left }: Session, tokens: Map<string, Open>): void {
    if (ending !== undefined) return
    const hashes = new Set(left.map(({ hash }) => hash))
    const wall = this.#options.clock.wall()
    for (const [hash, { token, revoked }] of tokens) {
      if (hashes.has(hash) || !tokenCounts(token, wall)) continue
      tokens.delete(hash)
      revoked.abort(new ShadowError('token-refused', 'the token was revoked'))
    }
  }

  [Symbol.dispose](): void {
    this.#ending.abort()
    this.#alarm?.[Symbol.dispose]()
  }
}
