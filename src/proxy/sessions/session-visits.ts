import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Exchange } from '../../lib/http/exchange.ts'
import { hostOf } from '../../model/hostname.ts'
import type { AppName } from '../../model/names.ts'
import type { Route } from '../../model/route.ts'
import { isOver, portHost, type Session, type SessionToken, sessionEnds, tokenCounts } from '../../model/session.ts'
import { isNavigation } from '../visitor.ts'
import type { AskedFrom, ForwardAuth } from './forward-auth.ts'
import type { OpenVisits } from './open-visits.ts'
import { type ShownToken, shownTokens } from './shown-tokens.ts'
import { answersPreflight, letsOthersRead } from './status-access.ts'
import { tokenOf } from './tokens.ts'
import { admitted, type Visit, type Visitor } from './visit.ts'

type Options = { readonly open: OpenVisits; readonly auth: ForwardAuth; readonly clock: Clock }
type Refused = 'token-missing' | 'token-refused'
type Found = { readonly shown: ShownToken; readonly token: SessionToken }

/** Lets visitors into sessions: by a token in the first segment of the path, in a cookie, or as a bearer. */
export class SessionVisits {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * Enters a visit, and takes its token off the path. Resolves with undefined if the request was answered here. Fails with `session-not-found`
   * for a session that has ended, `token-missing`, `token-refused` and `auth-unreachable`.
   */
  async enter({ name }: Route, session: Session, exchange: Exchange, from: AskedFrom): Promise<Visit | undefined> {
    letsOthersRead(exchange)
    if (answersPreflight(exchange)) return undefined
    if (isOver(session, this.#options.clock.wall())) throw sessionEnds(name)
    const found = session.visitors === 'all' ? 'token-missing' : this.#tokenOf(session, exchange, from)
    if (typeof found !== 'string') return this.#byToken(name, exchange, from, found)
    const { secure } = from
    const visitor = session.authUrl === undefined ? undefined : await this.#asked(session.authUrl, exchange, from)
    if (visitor === 'answered') return undefined
    if (visitor === undefined && session.visitors === 'token') throw refusal(exchange, secure, found)
    const changes = admitted({
      session: name,
      exchange,
      secure,
      visitor: visitor ?? {},
      shown: undefined,
      keeps: false,
    })
    return { ...changes, ended: undefined, [Symbol.dispose]: () => undefined }
  }

  #byToken(session: AppName, exchange: Exchange, { secure }: AskedFrom, { shown, token }: Found): Visit | undefined {
    if (shown.by === 'path' && redirects(exchange, shown.text)) return undefined
    const named = hostOf(exchange.host)
    if (named === undefined) throw new ShadowError('host-unknown', 'the request has no host')
    const keeps = shown.by === 'path' && isNavigation(exchange)
    if (shown.by === 'path') exchange.mountAt(`/${shown.text}`)
    const visit = admitted({ session, exchange, secure, visitor: token, shown, keeps })
    const open = this.#options.open.enter(portHost(named)?.session ?? named, token)
    return { ...visit, ended: open.ended, [Symbol.dispose]: () => open[Symbol.dispose]() }
  }

  async #asked(url: string, exchange: Exchange, from: AskedFrom): Promise<Visitor | 'answered'> {
    const verdict = await this.#options.auth.ask(url, exchange, from)
    if ('visitor' in verdict) return verdict.visitor
    exchange.answer(verdict.answer)
    return 'answered'
  }

  /** The token that admits, or why none does. */
  #tokenOf(session: Session, exchange: Exchange, { secure }: AskedFrom): Found | Refused {
    let refused: Refused = 'token-missing'
    for (const shown of shownTokens(exchange, secure)) {
      const token = tokenOf(session, shown.text)
      if (token !== undefined && tokenCounts(token, this.#options.clock.wall())) return { shown, token }
      refused = 'token-refused'
      // Somebody who opens an old link sees that it counts no more, also where a cookie would do.
      if (token !== undefined && shown.by === 'path') break
    }
    return refused
  }
}

function refusal(exchange: Exchange, secure: boolean, code: Refused): ShadowError {
  if (code === 'token-missing') {
    exchange.ownHeaders['www-authenticate'] = 'Bearer'
    return new ShadowError(code, 'the session asks for a token')
  }
  // A token that is refused here may count elsewhere, so the log does not have it.
  const [first] = shownTokens(exchange, secure)
  if (first?.by === 'path') exchange.mountAt(`/${first.text}`)
  return new ShadowError(code, 'the token is not one of the session, or counts no more')
}

/** Sends a visitor of `/TOKEN` to `/TOKEN/`, so that relative links lead below it. A WebSocket cannot follow. */
function redirects(exchange: Exchange, token: string): boolean {
  const rest = exchange.target.slice(token.length + 1)
  if (rest.startsWith('/') || exchange.upgrade !== undefined) return false
  exchange.answer({ status: 307, headers: { location: `/${token}/${rest}`, 'cache-control': 'no-store' } })
  return true
}
