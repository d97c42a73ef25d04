import { type AuthVerdict, askAuthUrl, PASSED_ON } from '../../api/forward-auth.ts'
import { tokenHash } from '../../api/session-token.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Exchange } from '../../lib/http/exchange.ts'
import { AUTH_ANSWERS_WITHIN, AUTH_COUNTS_FOR } from '../../model/intervals.ts'
import { withoutOurs } from './shown-tokens.ts'

/** The visitor of a request. */
export type AskedFrom = { readonly client: string | undefined; readonly secure: boolean }

type Kept = { readonly verdict: Promise<AuthVerdict>; readonly until: number }

const MOST_KEPT = 10_000

/**
 * Asks the URL of a template about visitors without a token, as Traefik's ForwardAuth and Caddy's forward_auth do. A consent counts for some
 * seconds for the same cookies and authorization from the same address, so that the parts of one page do not each ask.
 */
export class ForwardAuth {
  readonly #clock: Clock
  readonly #kept = new Map<string, Kept>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Fails with `auth-unreachable`. */
  async ask(url: string, exchange: Exchange, from: AskedFrom): Promise<AuthVerdict> {
    const headers = headersFor(exchange, from)
    const { Cookie, authorization } = headers
    if (Cookie === undefined && authorization === undefined) return askAuthUrl(url, headers, exchange.signal)
    const asked = [url, headers['X-Forwarded-Host'], headers['X-Forwarded-For'], Cookie, authorization]
    const key = tokenHash(JSON.stringify(asked)).toString('base64')
    const kept = this.#kept.get(key)
    if (kept !== undefined && kept.until > this.#clock.now()) {
      const verdict = await kept.verdict
      // Any other answer may be about the one path that was asked for.
      if ('visitor' in verdict) return verdict
    }
    // Others may wait for this answer, so it does not end with this visitor.
    const verdict = askAuthUrl(url, headers, AbortSignal.timeout(AUTH_ANSWERS_WITHIN))
    if (this.#kept.size >= MOST_KEPT) this.#kept.clear()
    const now: Kept = { verdict, until: this.#clock.now() + AUTH_COUNTS_FOR }
    this.#kept.set(key, now)
    const forget = (): void => void (this.#kept.get(key) === now && this.#kept.delete(key))
    verdict.then(said => 'answer' in said && forget(), forget)
    return verdict
  }
}

function headersFor(exchange: Exchange, { client, secure }: AskedFrom): Record<string, string> {
  const cookies = exchange.list('cookie')
  const cookie = cookies === undefined ? undefined : (withoutOurs(cookies) ?? cookies)
  const passed = PASSED_ON.flatMap(name => {
    const value = exchange.list(name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    ...Object.fromEntries(passed),
    ...(cookie !== undefined && cookie !== '' && { Cookie: cookie }),
    'X-Forwarded-Method': exchange.method,
    'X-Forwarded-Proto': secure ? 'https' : 'http',
    'X-Forwarded-Host': exchange.host ?? '',
    'X-Forwarded-Uri': exchange.target,
    'X-Forwarded-For': client ?? exchange.clientAddress,
  }
}
