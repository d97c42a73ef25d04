import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Site } from './site.ts'

/** A browser keeps a cookie with the prefix `__Host-` from every other host, also from sibling hostnames, and from plain HTTP. */
const nameOf = (name: string, { isSecure }: Pick<Site, 'isSecure'>): string => (isSecure ? `__Host-${name}` : name)

/** The cookie of a session. */
export const SESSION_COOKIE = 'shadow_dashboard'

/** Whether the request has the cookie, under whichever name. */
export const hasCookie = (request: IncomingMessage, name: string): boolean =>
  cookieOf(request, name) !== undefined || cookieOf(request, `__Host-${name}`) !== undefined

/** The value of the cookie as this site sets it. */
export const readCookie = (request: IncomingMessage, name: string, site: Site): string | undefined =>
  cookieOf(request, nameOf(name, site))

/** Sets the cookie on the answer; with `forMs` 0 the browser removes it. */
export function setCookie(
  response: ServerResponse,
  site: Site,
  {
    name,
    value,
    forMs,
    sameSite = 'Strict',
  }: { name: string; value: string; forMs: number; sameSite?: 'Strict' | 'Lax' },
): void {
  const flags = `Path=/; HttpOnly; SameSite=${sameSite}; Max-Age=${Math.floor(forMs / 1_000)}`
  response.appendHeader('set-cookie', `${nameOf(name, site)}=${value}; ${flags}${site.isSecure ? '; Secure' : ''}`)
}

function cookieOf({ headers: { cookie = '' } }: IncomingMessage, name: string): string | undefined {
  for (const pair of cookie.split(';')) {
    const at = pair.indexOf('=')
    if (pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim()
  }
  return undefined
}
