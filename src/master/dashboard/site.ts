import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { ShadowError } from '../../lib/errors.ts'
import { url } from '../../lib/settings.ts'

/** Under which host a browser sees the dashboard, and whether its connection is encrypted. A cookie is good for one site. */
export type Site = { readonly host: string; readonly isSecure: boolean; readonly origin: string }

/** Parses the address of the dashboard: a scheme and a host, and a port if it needs one. */
export function originUrl(value: string): string {
  const { origin, href } = new URL(url(value))
  if (href !== `${origin}/`)
    throw new ShadowError('bad-input', `"${value}" has a path: the dashboard is at / of its host`)
  return origin
}

export type Sites = ReturnType<typeof dashboardSites>

/**
 * The sites of the dashboard: those at which a browser may sign in. `address`: the one for people, if a proxy in front of the
 * master ends TLS.
 */
export function dashboardSites(address: string | undefined) {
  const known = address === undefined ? undefined : new URL(address)

  /** The site that the request was made at. Fails with `forbidden` where a cookie could be read or stolen on its way. */
  function siteOf({ headers, socket }: IncomingMessage): Site {
    const { host = '' } = headers
    // A URL could have more in the place of a host, such as a user.
    const at = (protocol: string): URL | null => (/^[\w.:[\]-]+$/.test(host) ? URL.parse(`${protocol}//${host}`) : null)
    if (known !== undefined && at(known.protocol)?.host === known.host) return siteAt(known)
    const isSecure = 'encrypted' in socket
    const own = at(isSecure ? 'https:' : 'http:')
    if (own !== null && (isSecure || LOOPBACK.test(own.hostname))) return siteAt(own)
    throw new ShadowError(
      'forbidden',
      `nobody signs in at ${host.slice(0, 100)} over plain HTTP: a token or a cookie could be read on its way`,
      {
        hint: 'set SHADOW_DASHBOARD_URL to the address of the dashboard, behind a proxy that ends TLS and passes the Host; or use ssh -L 8080:localhost:8080',
      },
    )
  }

  return {
    siteOf,

    /** The address of the dashboard for people: the one of the setting, else the one at which it was called. */
    urlFor(request: IncomingMessage): string {
      return known?.origin ?? siteOf(request).origin
    },

    /**
     * Fails with `forbidden` for a request that a page of another origin may have made. Browsers send the cookie to sibling hostnames' pages'
     * requests too (SameSite counts the registrable domain), so the origin has to be the very same.
     */
    mustBeSameOrigin(request: IncomingMessage, { origin: own }: Site): void {
      const { headers, method } = request
      const fetchSite = one(headers, 'sec-fetch-site')
      const origin = one(headers, 'origin')
      if (origin !== undefined && origin.toLowerCase() !== own) throw foreign(origin, own)
      if (fetchSite === 'same-origin') return
      const isRead = method === 'GET' || method === 'HEAD'
      // `none`: a person has typed the address. An old browser sends no such header.
      if (isRead && !isUpgrade(headers) && (fetchSite === undefined || fetchSite === 'none')) return
      if (fetchSite === undefined && origin !== undefined) return
      throw foreign(origin ?? fetchSite, own)
    },
  }
}

const isUpgrade = ({ upgrade }: IncomingHttpHeaders): boolean => upgrade !== undefined

/** The value of a header; of one that came twice both, which equal nothing. */
const one = (headers: IncomingHttpHeaders, name: string): string | undefined => headers[name]?.toString()

/** Names of this machine by itself. A name below localhost is none: apps have such names. */
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

const siteAt = ({ host, protocol, origin }: URL): Site => ({ host, isSecure: protocol === 'https:', origin })

const foreign = (from: string | undefined, own: string): ShadowError =>
  new ShadowError(
    'forbidden',
    `the dashboard takes this from its own pages at ${own} alone; this came from ${from === undefined ? 'nowhere known: it has neither Origin nor Sec-Fetch-Site' : `"${from.slice(0, 100)}"`}`,
    { hint: 'a program shows a token: Authorization: Bearer TOKEN; a proxy in front has to pass the Host' },
  )
