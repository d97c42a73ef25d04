import type { Exchange } from '../../lib/http/exchange.ts'

/** A text of the form of a token, and by what a request shows it. */
export type ShownToken = { readonly by: 'path' | 'cookie' | 'bearer'; readonly text: string }

const SEGMENT = /^\/([A-Za-z0-9_-]{16,200})(?=[/?]|$)/
const BEARER = /^Bearer +([A-Za-z0-9_-]{16,200})$/i

/** By HTTPS, browsers take a cookie of this name only from the very host, with Secure and Path=/ (RFC 6265bis, 4.1.3.2). */
const cookieName = (secure: boolean): string => (secure ? '__Host-shadow_session' : 'shadow_session')
const COOKIES = {
  secure: /(?:^|[;,]\s*)__Host-shadow_session=([A-Za-z0-9_-]{16,200})(?=[;,\s]|$)/g,
  plain: /(?:^|[;,]\s*)shadow_session=([A-Za-z0-9_-]{16,200})(?=[;,\s]|$)/g,
}
/** A neighbour under the same parent domain may set cookies of this name too. More than these are not looked at. */
const MOST_COOKIES = 4

/** The texts of a request that may be tokens of its session, in the order in which they count. */
export function* shownTokens(exchange: Exchange, secure: boolean): Generator<ShownToken> {
  const [, segment] = SEGMENT.exec(exchange.target) ?? []
  if (segment !== undefined) yield { by: 'path', text: segment }
  const cookies = exchange.list('cookie')
  if (cookies !== undefined) {
    let seen = 0
    for (const [, text = ''] of cookies.matchAll(secure ? COOKIES.secure : COOKIES.plain)) {
      yield { by: 'cookie', text }
      if (++seen === MOST_COOKIES) break
    }
  }
  const [, bearer] = BEARER.exec(exchange.header('authorization') ?? '') ?? []
  if (bearer !== undefined) yield { by: 'bearer', text: bearer }
}

/** The cookie by which a browser shows the token from now on. It ends with the browser; the token itself may expire earlier. */
export const tokenCookie = (token: string, secure: boolean): string =>
  `${cookieName(secure)}=${token}; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`

/** The cookies of a request without ours; undefined: ours are not among them. */
export function withoutOurs(cookies: string): string | undefined {
  if (!cookies.includes('shadow_session=')) return undefined
  const rest = cookies.replace(/(^|[;,]\s*)(?:__Host-)?shadow_session=[^;,]*/g, '')
  return rest === cookies ? undefined : rest.replace(/^[;,]\s*/, '')
}
