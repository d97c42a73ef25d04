import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Exchange } from '../../lib/http/exchange.ts'
import { hostOf } from '../../model/hostname.ts'
import type { Route } from '../../model/route.ts'
import { isOver, type Session, type SessionToken, tokenCounts } from '../../model/session.ts'
import { isNavigation } from '../visitor.ts'
import type { OpenVisits } from './open-visits.ts'
import { type ShownToken, shownTokens } from './shown-tokens.ts'
import { answersPreflight, letsOthersRead } from './status-access.ts'
import { tokenOf } from './tokens.ts'
import { admitted, type Visit } from './visit.ts'

type Options = { readonly open: OpenVisits; readonly clock: Clock }
type From = { readonly secure: boolean }
type Found = { readonly shown: ShownToken; readonly token: SessionToken }

/** Lets visitors into sessions: by a token in the first segment of the path, in a cookie, or as a bearer. */
export class SessionVisits {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * Enters a visit, and takes its token off the path. Resolves with undefined if the request was answered here. Fails with `session-not-found`
   * for a session that has ended, `token-missing` and `token-refused`.
   */
  async enter({ name }: Route, session: Session, exchange: Exchange, from: From): Promise<Visit | undefined> {
    letsOthersRead(exchange)
    if (answersPreflight(exchange)) return undefined
    if (isOver(session, this.#options.clock.wall()))
      throw new ShadowError('session-not-found', `the session ${name} has ended`)
    const rest = { session: name, exchange, secure: from.secure }
    if (session.visitors === 'all')
      return {
        ...admitted({ ...rest, visitor: {}, shown: undefined, keeps: false }),
        ended: undefined,
        ...NOTHING_OPEN,
      }
    const { shown, token } = this.#tokenOf(session, exchange, from)
    if (shown.by === 'path' && redirects(exchange, shown.text)) return undefined
    const keeps = shown.by === 'path' && isNavigation(exchange)
    if (shown.by === 'path') exchange.mountAt(`/${shown.text}`)
    const hostname = hostOf(exchange.host)
    if (hostname === undefined) throw new ShadowError('host-unknown', 'the request has no host')
    const open = this.#options.open.enter(hostname, token)
    const visit = admitted({ ...rest, visitor: token, shown, keeps })
    return { ...visit, ended: open.ended, [Symbol.dispose]: () => open[Symbol.dispose]() }
  }

  #tokenOf(session: Session, exchange: Exchange, { secure }: From): Found {
    let refused = false
    for (const shown of shownTokens(exchange, secure)) {
      const token = tokenOf(session, shown.text)
      if (token !== undefined && tokenCounts(token, this.#options.clock.wall())) return { shown, token }
      refused = true
      // Somebody who opens an old link sees that it counts no more, also where a cookie would do.
      if (token !== undefined && shown.by === 'path') break
    }
    // A token that was refused here may count elsewhere, so the log does not have it.
    for (const { by, text } of refused ? shownTokens(exchange, secure) : [])
      if (by === 'path') exchange.mountAt(`/${text}`)
    if (refused) throw new ShadowError('token-refused', 'the token is not one of the session, or counts no more')
    exchange.ownHeaders['www-authenticate'] = 'Bearer'
    throw new ShadowError('token-missing', 'the session asks for a token')
  }
}

/** Sends a visitor of `/TOKEN` to `/TOKEN/`, so that relative links lead below it. A WebSocket cannot follow. */
function redirects(exchange: Exchange, token: string): boolean {
  const rest = exchange.target.slice(token.length + 1)
  if (rest.startsWith('/') || exchange.upgrade !== undefined) return false
  exchange.answer({ status: 307, headers: { location: `/${token}/${rest}`, 'cache-control': 'no-store' } })
  return true
}

const NOTHING_OPEN = { [Symbol.dispose]: (): void => undefined }
