import type { IncomingMessage } from 'node:http'
import type { DashboardSession, dashboardCalls } from '../../api/dashboard-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { Handlers } from '../call.ts'
import type { Caller } from '../known-callers.ts'
import type { Storage } from '../storage/storage.ts'
import type { Tokens } from '../tokens.ts'
import { dashboardLinks } from './links.ts'
import type { OidcSignIn } from './oidc/sign-in.ts'
import { type DashboardSessions, mustBePerson } from './sessions.ts'
import type { Sites } from './site.ts'
import { WrongTries } from './tries.ts'

type Parts = {
  readonly sessions: DashboardSessions
  readonly sites: Sites
  /** Undefined: nobody signs in by OIDC. */
  readonly oidc: OidcSignIn | undefined
  readonly tokens: Pick<Tokens, 'callerOf' | 'callerWith'>
  readonly storage: Storage
  readonly clock: Clock
}

export type DashboardHandlers = Pick<Handlers, keyof typeof dashboardCalls>

/** The calls by which a browser signs in and out. */
export function dashboardHandlers({ sessions, sites, oidc, tokens, storage, clock }: Parts): DashboardHandlers {
  const links = dashboardLinks({ storage, clock })
  const tries = new WrongTries(clock)

  async function ofLink(code: string): Promise<Caller> {
    const caller = await tokens.callerWith(await links.use(code))
    if (caller === undefined) throw new ShadowError('unauthorised', 'the token that has made this link was revoked')
    return caller
  }

  /** Runs the check of a token or a code, and counts it if it was wrong. */
  async function tried(request: IncomingMessage, check: () => Promise<Caller>): Promise<Caller> {
    const address = request.socket.remoteAddress ?? ''
    tries.mustBeFew(address)
    try {
      return await check()
    } catch (error) {
      if (isFailure(error, 'unauthorised')) tries.add(address)
      throw error
    }
  }

  return {
    getSignIn: async () => ({ value: { oidc: oidc === undefined ? null : { name: oidc.name } } }),

    startOidc: async ({ query }, exchange) => mustBeThere(oidc).start(exchange, query),
    finishOidc: async (_, exchange) => mustBeThere(oidc).finish(exchange),

    async startDashboardSession({ body }, { request, response }) {
      // A page of another origin must not sign a browser in as somebody else either.
      sites.mustBeSameOrigin(request, sites.siteOf(request))
      const by = 'token' in body ? 'token' : 'link'
      const caller = await tried(request, () => ('token' in body ? tokens.callerOf(body.token) : ofLink(body.code)))
      return { value: shown(sessions.start(request, response, caller, by)) }
    },

    getDashboardSession: async (_, { caller }) => ({ value: shown(caller) }),

    async endDashboardSession(_, { request, response }) {
      sites.mustBeSameOrigin(request, sites.siteOf(request))
      sessions.end(request, response)
    },

    async createDashboardLink(_, { caller, request }) {
      if (caller === undefined) throw new ShadowError('unauthorised', 'no token was given')
      mustBePerson(caller)
      if (caller.session?.by === 'oidc')
        throw new ShadowError('forbidden', 'a link stands for a token, and a session by OIDC has none', {
          hint: 'sign in by OIDC there too, or make a token',
        })
      const url = sites.urlFor(request)
      const { code, until } = await links.create(caller.id)
      // In the fragment: a browser sends it to nobody, so that it is in no log.
      return { value: { url: `${url}/#code=${code}`, until } }
    },
  }
}

function mustBeThere(oidc: OidcSignIn | undefined): OidcSignIn {
  if (oidc !== undefined) return oidc
  throw new ShadowError('not-found', 'nobody signs in by OIDC at this master', { hint: 'set SHADOW_OIDC_ISSUER' })
}

function shown(caller: Caller | undefined): DashboardSession {
  if (caller?.session === undefined)
    throw new ShadowError('unauthorised', 'nobody is signed in to the dashboard here: there is no cookie', {
      facts: { session: 'none' },
    })
  mustBePerson(caller)
  const { role, apps, session } = caller
  return {
    name: session.name,
    role: role === 'admin' ? 'admin' : 'owner',
    apps: role === 'admin' ? null : [...(apps ?? [])],
    expiresAt: new Date(session.until).toISOString(),
    signedInBy: session.by,
  }
}
