import type { Exchange } from '../lib/http/exchange.ts'
import { type Access, type Hsts, type HttpsMode, hstsHeader } from '../model/access.ts'
import { hostOf } from '../model/hostname.ts'

export const HSTS_HEADER = 'strict-transport-security'

const HTTPS_PORT = 443
// A redirect of anything else keeps its method and body (RFC 9110, 15.4.9).
const PLAIN = ['GET', 'HEAD']

type Options = {
  /** What holds where an app does not say. */
  readonly mode: HttpsMode
  readonly hsts: Hsts
  /** The port that serves HTTPS; undefined: this front does not serve it. */
  readonly port: () => number | undefined
}

/** Redirects visitors from plain HTTP, and makes the `Strict-Transport-Security` header. */
export class Https {
  readonly #options: Options
  // By the value, so that forwarders see the same text for the same app.
  readonly #headers = new Map<Hsts, string | undefined>()

  constructor(options: Options) {
    this.#options = options
  }

  redirects(access: Access | undefined): boolean {
    return (access?.https ?? this.#options.mode) === 'redirect'
  }

  /** The value of `Strict-Transport-Security` for answers by HTTPS; undefined: none. */
  hstsOf(access: Access | undefined): string | undefined {
    const value = access?.hsts ?? this.#options.hsts
    if (value === 'off') return undefined
    if (!this.#headers.has(value)) this.#headers.set(value, hstsHeader(value))
    return this.#headers.get(value)
  }

  /** Sends a visitor by plain HTTP on to the same by HTTPS: at this front's port, or at the usual one where a proxy has sent the visitor. */
  redirect(exchange: Exchange, isProxy: boolean): Promise<void> {
    const { method, target } = exchange
    const port = isProxy ? HTTPS_PORT : (this.#options.port() ?? HTTPS_PORT)
    const authority = `${hostOf(exchange.host)}${port === HTTPS_PORT ? '' : `:${port}`}`
    const location = `https://${authority}${target.startsWith('/') ? target : '/'}`
    exchange.answer({ status: PLAIN.includes(method) ? 301 : 308, headers: { location } })
    return Promise.resolve()
  }
}
