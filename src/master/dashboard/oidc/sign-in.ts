import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Clock } from '../../../lib/clock.ts'
import { asShadowError, isFailure, ShadowError } from '../../../lib/errors.ts'
import type { Seals } from '../../../lib/seals.ts'
import { readCookie, setCookie } from '../cookie.ts'
import { answerPlainPage } from '../plain-page.ts'
import type { DashboardSessions } from '../sessions.ts'
import type { Site, Sites } from '../site.ts'
import { isNamed, type Person } from './people.ts'
import type { Claims, OidcProvider } from './provider.ts'
import type { OidcSettings } from './settings.ts'

const COOKIE = 'shadow_oidc'
/** How long a person may take at the provider. */
const GOOD_FOR_MS = 600_000

const UnderwaySchema = z.object({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  page: z.string(),
  quiet: z.boolean(),
  until: z.number(),
})

type Parts = {
  readonly settings: OidcSettings
  readonly provider: OidcProvider
  readonly sessions: Pick<DashboardSessions, 'startByOidc' | 'end'>
  readonly sites: Sites
  readonly seals: Pick<Seals, 'seal' | 'open'>
  readonly clock: Pick<Clock, 'wall'>
}
type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse }

export type OidcSignIn = ReturnType<typeof oidcSignIn>

/**
 * Signs a person in by OpenID Connect. Masters keep nothing of a sign-in that is under way: its state, nonce and verifier are in a sealed cookie of the browser,
 * so that it may come back to any master, and nobody else can come back in its place.
 */
export function oidcSignIn({ settings, provider, sessions, sites, seals, clock }: Parts) {
  const contextAt = ({ host }: Site): string => `a sign-in to the dashboard at ${host}`
  const redirectUri = (request: IncomingMessage): string => `${sites.urlFor(request)}/v1/dashboard/oidc/callback`

  function underway(request: IncomingMessage, site: Site) {
    const sealed = readCookie(request, COOKIE, site)
    if (sealed === undefined) throw notUnderway('none is under way in this browser')
    let text: string
    try {
      text = seals.open(sealed, contextAt(site))
    } catch (cause) {
      throw notUnderway('its cookie was made elsewhere, or with a key that is gone', cause)
    }
    const found = UnderwaySchema.parse(JSON.parse(text))
    if (found.until <= clock.wall()) throw notUnderway('it took too long')
    return found
  }

  /** Signs the browser in that has come back; the address of the page that it wanted. */
  async function finish({ request, response }: Exchange): Promise<string> {
    const site = sites.siteOf(request)
    // Once, whatever comes of it.
    setCookie(response, site, { name: COOKIE, value: '', forMs: 0, sameSite: 'Lax' })
    const { page, quiet, ...flow } = underway(request, site)
    const cameBackAt = new URL(redirectUri(request))
    cameBackAt.search = new URL(request.url ?? '', cameBackAt).search
    if (cameBackAt.searchParams.get('state') !== flow.state) throw notUnderway('the browser came back from another one')
    try {
      sessions.startByOidc(request, response, personOf(await provider.finish(flow, cameBackAt), settings))
      return page
    } catch (error) {
      // The provider would have had to show something: the person has to sign in.
      if (!quiet || !isFailure(error, 'unauthorised')) throw error
      sessions.end(request, response)
      return '/'
    }
  }

  return {
    name: settings.name,

    /** Sends the browser to the provider. `page`: the path of the one that it wants afterwards. */
    async start({ request, response }: Exchange, { page, quiet }: { page: string; quiet: boolean }): Promise<void> {
      try {
        const site = sites.siteOf(request)
        const { url, flow } = await provider.begin(redirectUri(request), quiet)
        const whole = { ...flow, page: localPath(page), quiet, until: clock.wall() + GOOD_FOR_MS }
        const value = seals.seal(JSON.stringify(whole), contextAt(site))
        // Lax: the browser comes back by a link of the provider's page.
        setCookie(response, site, { name: COOKIE, value, forMs: GOOD_FOR_MS, sameSite: 'Lax' })
        redirect(response, url)
      } catch (error) {
        tell(response, error)
      }
    },

    async finish(exchange: Exchange): Promise<void> {
      try {
        redirect(exchange.response, await finish(exchange))
      } catch (error) {
        tell(exchange.response, error)
      }
    },
  }
}

function personOf(claims: Claims, { people, groupsClaim }: OidcSettings): Person {
  const { sub: subject, email, email_verified: verified } = claims
  const groups = claims[groupsClaim]
  // Some providers send the flag as a text.
  const isVerified = verified === true || verified === 'true'
  return {
    subject,
    ...(typeof email === 'string' && isVerified && { email }),
    // A cookie has little room, so that it holds none of the other groups.
    groups: Array.isArray(groups) ? groups.filter(group => typeof group === 'string' && isNamed(people, group)) : [],
  }
}

/** The path if it is one of this site, else the first page: a link must not send a person elsewhere after the sign-in. */
function localPath(path: string): string {
  const base = 'http://local.invalid'
  const url = URL.parse(path, base)
  return path.startsWith('/') && url?.origin === base ? `${url.pathname}${url.search}${url.hash}` : '/'
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(303, { location, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' }).end()
}

/** Answers a person with a page that says what happened. An internal error is left to the log. */
function tell(response: ServerResponse, error: unknown): void {
  const { code, status, message, details } = asShadowError(error)
  if (code === 'internal') throw error
  response.setHeader('x-shadow-error', code)
  answerPlainPage(response, status, {
    heading: status === 403 ? 'You may not use this dashboard' : 'You are not signed in',
    says: [message, ...(details.hint === undefined ? [] : [details.hint])],
    link: { href: '/', text: 'Go to the dashboard' },
  })
}

const notUnderway = (why: string, cause?: unknown): ShadowError =>
  new ShadowError('unauthorised', `this is no answer to a sign-in of this browser: ${why}`, {
    cause,
    hint: 'begin again at the dashboard',
  })
