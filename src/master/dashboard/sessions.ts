import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Seals } from '../../lib/seals.ts'
import type { Caller } from '../known-callers.ts'
import type { Tokens } from '../tokens.ts'
import { hasCookie, readCookie, SESSION_COOKIE, setCookie } from './cookie.ts'
import { admitted, type People, type Person } from './oidc/people.ts'
import type { Site, Sites } from './site.ts'

/**
 * What the cookie holds, sealed: which token it stands for, or who has signed in by OIDC. It is no permission by itself: the token, or what
 * the setting says of the person, is looked up for each request.
 */
const SessionSchema = z.union([
  z.object({ token: z.string(), by: z.enum(['token', 'link']), until: z.number() }),
  z.object({
    person: z.object({ subject: z.string(), email: z.string().optional(), groups: z.array(z.string()) }),
    until: z.number(),
  }),
])
type Session = z.output<typeof SessionSchema>

/** A cookie is renewed when this share of its time is over: not for each request. */
const RENEWED_AFTER = 1 / 12
/** A person who signed in by OIDC signs in again after this: the provider may know them no more. */
const OIDC_LASTS_MS = 3_600_000

type Options = {
  readonly seals: Pick<Seals, 'seal' | 'open'>
  readonly tokens: Pick<Tokens, 'callerWith'>
  readonly sites: Sites
  /** Who may sign in by OIDC; undefined: nobody. */
  readonly people: People | undefined
  readonly clock: Pick<Clock, 'wall'>
  readonly lastsMs: number
}

export type DashboardSessions = ReturnType<typeof dashboardSessions>

/**
 * The sessions of browsers. Masters keep none of them: a session is a cookie that every master of the store can read, and nobody else. A
 * session ends by its time or with its token.
 */
export function dashboardSessions({ seals, tokens, sites, people = [], clock, lastsMs }: Options) {
  const contextAt = ({ host }: Site): string => `the session of the dashboard at ${host}`

  function set<S extends Session>(response: ServerResponse, site: Site, session: S): S {
    const value = seals.seal(JSON.stringify(session), contextAt(site))
    setCookie(response, site, { name: SESSION_COOKIE, value, forMs: session.until - clock.wall() })
    return session
  }

  function read(value: string, site: Site): Session {
    let text: string
    try {
      text = seals.open(value, contextAt(site))
    } catch (cause) {
      throw over('unreadable', 'the cookie of the dashboard was made elsewhere, or with a key that is gone', { cause })
    }
    const session = SessionSchema.parse(JSON.parse(text))
    if (session.until <= clock.wall())
      throw over('expired', 'the session of the dashboard has expired', { isByOidc: 'person' in session })
    return session
  }

  /** What the setting says of the person now. Fails with `forbidden` if it does not name them. */
  function callerFor(person: Person, until: number): Caller {
    const as = admitted(people, person)
    if (as === undefined) throw unknown(person)
    const name = nameOf(person)
    const { role, ...owner } = as
    return { id: `oidc ${person.subject}`, name, ...owner, role, session: { by: 'oidc', until, name } }
  }

  return {
    /** Whether the request shows a session, good or not. */
    isShownBy: (request: IncomingMessage): boolean => hasCookie(request, SESSION_COOKIE),

    /**
     * Who is signed in by the cookie of the request. Fails with `unauthorised`, or with `forbidden` for a request that a page of another
     * origin may have made. The answer renews an old cookie, if there is one: an upgrade has none.
     */
    async callerOf(request: IncomingMessage, response: ServerResponse | undefined): Promise<Caller> {
      const site = sites.siteOf(request)
      sites.mustBeSameOrigin(request, site)
      const value = readCookie(request, SESSION_COOKIE, site)
      if (value === undefined) throw over('none', 'nobody is signed in to the dashboard here')
      const session = read(value, site)
      if ('person' in session) return callerFor(session.person, session.until)
      const caller = await tokens.callerWith(session.token)
      if (caller === undefined) throw over('revoked', 'the token that signed in here was revoked')
      const isOld = session.until - clock.wall() < lastsMs * (1 - RENEWED_AFTER)
      const { by, until } =
        isOld && response !== undefined ? set(response, site, { ...session, until: clock.wall() + lastsMs }) : session
      return { ...caller, session: { by, until, name: caller.name } }
    },

    /** Begins a session of this token's owner. Fails with `forbidden` for a token of a machine. */
    start(request: IncomingMessage, response: ServerResponse, caller: Caller, by: 'token' | 'link'): Caller {
      mustBePerson(caller)
      const until = clock.wall() + lastsMs
      set(response, sites.siteOf(request), { token: caller.id, by, until })
      return { ...caller, session: { by, until, name: caller.name } }
    },

    /** Begins a session of a person whom the provider has named. Fails with `forbidden` for one whom the setting does not name. */
    startByOidc(request: IncomingMessage, response: ServerResponse, person: Person): void {
      const until = clock.wall() + Math.min(OIDC_LASTS_MS, lastsMs)
      callerFor(person, until)
      set(response, sites.siteOf(request), { person: { ...person, groups: [...person.groups] }, until })
    },

    /** Lets the browser forget its cookie. */
    end(request: IncomingMessage, response: ServerResponse): void {
      setCookie(response, sites.siteOf(request), { name: SESSION_COOKIE, value: '', forMs: 0 })
    },
  }
}

/** Fails with `forbidden` for the credentials of a machine. */
export function mustBePerson({ role }: Pick<Caller, 'role'>): void {
  if (role === 'admin' || role === 'owner') return
  throw new ShadowError('forbidden', `a token of the role ${role} is for a machine, and opens no dashboard`, {
    hint: 'shadow token create NAME, or with --apps for an owner',
  })
}

const nameOf = ({ email, subject }: Person): string => email ?? subject

function unknown(person: Person): ShadowError {
  const why = person.email === undefined ? '; the provider has told no e-mail address that it has verified' : ''
  return new ShadowError('forbidden', `${nameOf(person)} is not among those who may use this dashboard${why}`, {
    hint: 'an admin adds people and groups: SHADOW_OIDC_PEOPLE',
  })
}

type Over = { readonly cause?: unknown; readonly isByOidc?: boolean }

const over = (session: 'none' | 'expired' | 'unreadable' | 'revoked', why: string, of: Over = {}): ShadowError =>
  new ShadowError('unauthorised', why, {
    cause: of.cause,
    facts: { session, ...(of.isByOidc && { signedInBy: 'oidc' }) },
    hint: 'sign in again: shadow dashboard',
  })
