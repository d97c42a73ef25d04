import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { ShadowError } from '../../lib/errors.ts'

/** Under which host a browser sees the dashboard, and whether its connection is encrypted. A cookie is good for one site. */
export type Site = { readonly host: string; readonly isSecure: boolean; readonly origins: readonly string[] }

export type Sites = ReturnType<typeof dashboardSites>

/**
 * The sites of the dashboard: those at which a browser may sign in. `url`: the address for people, if a proxy in front of the master ends TLS.
 */
export function dashboardSites(url: string | undefined) {
  const known = url === undefined ? undefined : new URL(url)

  /** The site that the request was made at. Fails with `forbidden` where a cookie could be read or stolen on its way. */
  function siteOf({ headers, socket }: IncomingMessage): Site {
    const host = (headers.host ?? '').toLowerCase()
    if (known !== undefined && host === known.host)
      return { host, isSecure: known.protocol === 'https:', origins: [known.origin] }
    if ('encrypted' in socket) return { host, isSecure: true, origins: [`https://${host}`] }
    if (isLoopback(host)) return { host, isSecure: false, origins: [`http://${host}`] }
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
      return known?.origin ?? siteOf(request).origins[0] ?? ''
    },

    /**
     * Fails with `forbidden` for a request that a page of another origin may have made. Browsers send the cookie to sibling hostnames' pages'
     * requests too (SameSite counts the registrable domain), so the origin has to be the very same.
     */
    mustBeSameOrigin(request: IncomingMessage, { origins }: Site): void {
      const { headers, method } = request
      const fetchSite = one(headers, 'sec-fetch-site')
      const origin = one(headers, 'origin')
      if (origin !== undefined && !origins.includes(origin.toLowerCase())) throw foreign(origin, origins)
      if (fetchSite === 'same-origin') return
      const isRead = method === 'GET' || method === 'HEAD'
      // `none`: a person has typed the address. An old browser sends no such header.
      if (isRead && !isUpgrade(headers) && (fetchSite === undefined || fetchSite === 'none')) return
      if (fetchSite === undefined && origin !== undefined) return
      throw foreign(origin ?? fetchSite, origins)
    },
  }
}

const isUpgrade = ({ upgrade }: IncomingHttpHeaders): boolean => upgrade !== undefined

/** The value of a header; of one that came twice both, which equal nothing. */
const one = (headers: IncomingHttpHeaders, name: string): string | undefined => headers[name]?.toString()

/** Whether a host is this machine by itself. A name below localhost is not: apps have such names. */
const isLoopback = (host: string): boolean => /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/.test(host)

const foreign = (from: string | undefined, origins: readonly string[]): ShadowError =>
  new ShadowError(
    'forbidden',
    `the dashboard takes this from its own pages at ${origins.join(', ')} alone; this came from ${from === undefined ? 'nowhere known: it has neither Origin nor Sec-Fetch-Site' : `"${from.slice(0, 100)}"`}`,
    { hint: 'a program shows a token: Authorization: Bearer TOKEN; a proxy in front has to pass the Host' },
  )
