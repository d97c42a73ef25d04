import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { SIGNED_IN_BY } from '../../api/dashboard-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Seals } from '../../lib/seals.ts'
import type { Caller } from '../known-callers.ts'
import type { Tokens } from '../tokens.ts'
import { hasCookie, readCookie, SESSION_COOKIE, setCookie } from './cookie.ts'
import type { Site, Sites } from './site.ts'

/** What the cookie holds, sealed: which token it stands for. It is no permission by itself: the token is looked up for each request. */
const SessionSchema = z.object({ token: z.string(), by: z.enum(SIGNED_IN_BY), until: z.number() })
type Session = z.output<typeof SessionSchema>

/** A cookie is renewed when this share of its time is over: not for each request. */
const RENEWED_AFTER = 1 / 12

type Options = {
  readonly seals: Pick<Seals, 'seal' | 'open'>
  readonly tokens: Pick<Tokens, 'callerWith'>
  readonly sites: Sites
  readonly clock: Pick<Clock, 'wall'>
  readonly lastsMs: number
}

export type DashboardSessions = ReturnType<typeof dashboardSessions>

/**
 * The sessions of browsers. Masters keep none of them: a session is a cookie that every master of the store can read, and nobody else. A
 * session ends by its time or with its token.
 */
export function dashboardSessions({ seals, tokens, sites, clock, lastsMs }: Options) {
  const contextAt = ({ host }: Site): string => `the session of the dashboard at ${host}`

  function set(response: ServerResponse, site: Site, session: Omit<Session, 'until'>): Session {
    const whole = { ...session, until: clock.wall() + lastsMs }
    const value = seals.seal(JSON.stringify(whole), contextAt(site))
    setCookie(response, site, { name: SESSION_COOKIE, value, forMs: lastsMs })
    return whole
  }

  function read(value: string, site: Site): Session {
    let text: string
    try {
      text = seals.open(value, contextAt(site))
    } catch (cause) {
      throw over('unreadable', 'the cookie of the dashboard was made elsewhere, or with a key that is gone', cause)
    }
    const session = SessionSchema.parse(JSON.parse(text))
    if (session.until <= clock.wall()) throw over('expired', 'the session of the dashboard has expired')
    return session
  }

  return {
    /** Whether the request shows a session, good or not. */
    isShownBy: (request: IncomingMessage): boolean => hasCookie(request, SESSION_COOKIE),

    /**
     * Who is signed in by the cookie of the request. Fails with `unauthorised`, or with `forbidden` for a request that a page of another
     * origin may have made.
     */
    async callerOf(request: IncomingMessage, response: ServerResponse): Promise<Caller> {
      const site = sites.siteOf(request)
      sites.mustBeSameOrigin(request, site)
      const value = readCookie(request, SESSION_COOKIE, site)
      if (value === undefined) throw over('none', 'nobody is signed in to the dashboard here')
      let session = read(value, site)
      const caller = await tokens.callerWith(session.token)
      if (caller === undefined) throw over('revoked', 'the token that signed in here was revoked')
      if (session.until - clock.wall() < lastsMs * (1 - RENEWED_AFTER)) session = set(response, site, session)
      return { ...caller, session: { by: session.by, until: session.until } }
    },

    /** Begins a session of this token's owner. Fails with `forbidden` for a token of a machine. */
    start(request: IncomingMessage, response: ServerResponse, caller: Caller, by: Session['by']): Caller {
      mustBePerson(caller)
      const { until } = set(response, sites.siteOf(request), { token: caller.id, by })
      return { ...caller, session: { by, until } }
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

const over = (session: 'none' | 'expired' | 'unreadable' | 'revoked', why: string, cause?: unknown): ShadowError =>
  new ShadowError('unauthorised', why, { cause, facts: { session }, hint: 'sign in again: shadow dashboard' })
