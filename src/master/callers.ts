import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { SOCKET_TOKEN } from '../api/terminal-calls.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { whyNotTrusted } from '../lib/tls/faults.ts'
import { type Peer, peerOf } from '../model/member.ts'
import type { Members } from './cluster/members.ts'
import type { DashboardSessions } from './dashboard/sessions.ts'
import type { Caller, KnownCallers } from './known-callers.ts'
import type { Tokens } from './tokens.ts'

export type Callers = ReturnType<typeof requestCallers>

type Parts = {
  readonly tokens: Tokens
  readonly members: Members | undefined
  readonly sessions: DashboardSessions
  readonly clock: Clock
}

/**
 * Who calls the master: the owner of the token that a request shows, the person of its cookie or, in a cluster, the member whose certificate
 * its connection shows.
 */
export function requestCallers({ tokens, members, sessions, clock }: Parts) {
  const peers = new WeakMap<object, Peer | ShadowError | undefined>()
  const peerAt = ({ socket }: IncomingMessage): Peer | ShadowError | undefined => {
    if (!peers.has(socket)) peers.set(socket, shownBy(socket as TLSSocket))
    return peers.get(socket)
  }

  const knownWith = (caller: Caller): KnownCallers =>
    caller.member !== undefined && members ? members.known : tokens.known

  const byToken = async (token: string): Promise<Caller> => {
    const caller = await tokens.callerOf(token)
    if (members === undefined || caller.role === 'admin' || caller.role === 'owner') return caller
    throw new ShadowError(
      'forbidden',
      `this master has a cluster, where no token of the role ${caller.role} is taken`,
      {
        hint: `join with a certificate: shadow ${caller.role} join`,
      },
    )
  }

  return {
    /**
     * The caller of this request; fails with `unauthorised`. `basic`: the token may be the password of any user too. `cookie`: the cookie
     * of the dashboard counts too, and is renewed by the answer if there is one.
     */
    async of(
      request: IncomingMessage,
      { basic = false, cookie }: { basic?: boolean; cookie?: { readonly answer: ServerResponse | undefined } } = {},
    ): Promise<Caller> {
      const { authorization } = request.headers
      const token =
        bearerOf(authorization) ??
        (basic ? passwordOf(authorization) : undefined) ??
        (authorization === undefined ? offeredIn(request) : undefined)
      if (token !== undefined) return byToken(token)
      // A cookie counts before the certificate of a member: with a cookie that is not good, the request is nobody's.
      if (cookie !== undefined && authorization === undefined && sessions.isShownBy(request))
        return sessions.callerOf(request, cookie.answer)
      const peer = members && authorization === undefined ? peerAt(request) : undefined
      if (peer instanceof ShadowError) throw peer
      if (members === undefined || peer === undefined)
        throw new ShadowError('unauthorised', 'no token was given: Authorization: Bearer TOKEN', {
          facts: { session: 'none' },
        })
      if (peer.role === 'master') throw new ShadowError('forbidden', 'a master does not call a master')
      return members.callerOf(peer)
    },

    /** The caller who shows this token by a header of its own; fails with `unauthorised`. */
    withToken: byToken,

    /** The callers among which this one is known; see `KnownCallers`. */
    knownWith,

    /** Aborts with `unauthorised` when the caller's credential is revoked, or its session is over: that ends the caller's stream. */
    whileGood(caller: Caller): Disposable & { readonly signal: AbortSignal } {
      const { session } = caller
      if (session === undefined) return knownWith(caller).whileGood(caller.id)
      // A person who signed in by OIDC has no token that could be revoked.
      const good = session.by === 'oidc' ? undefined : knownWith(caller).whileGood(caller.id)
      const over = new AbortController()
      const timer = clock.after(Math.max(0, session.until - clock.wall()), () => over.abort(sessionOver()))
      return {
        signal: good === undefined ? over.signal : AbortSignal.any([good.signal, over.signal]),
        [Symbol.dispose]() {
          timer[Symbol.dispose]()
          good?.[Symbol.dispose]()
        },
      }
    },
  }
}

const sessionOver = (): ShadowError =>
  new ShadowError('unauthorised', 'the session of the dashboard has expired', { facts: { session: 'expired' } })

const bearerOf = (authorization: string | undefined): string | undefined =>
  /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]

/** The token that a client of a WebSocket offers as a protocol. */
function offeredIn({ headers }: IncomingMessage): string | undefined {
  const offered = headers.upgrade === undefined ? [] : (headers['sec-websocket-protocol']?.split(',') ?? [])
  return offered
    .map(one => one.trim())
    .find(one => one.startsWith(SOCKET_TOKEN))
    ?.slice(SOCKET_TOKEN.length)
}

/** The password of Basic authentication (RFC 7617). */
function passwordOf(authorization: string | undefined): string | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization ?? '')?.[1]
  const pair = encoded && Buffer.from(encoded, 'base64').toString()
  return pair?.includes(':') ? pair.slice(pair.indexOf(':') + 1) : undefined
}

/** Who the certificate of a connection is for; undefined if there is none; an error for one that is not trusted. */
function shownBy(socket: TLSSocket): Peer | ShadowError | undefined {
  const certificate = socket.getPeerX509Certificate?.()
  if (certificate === undefined) return undefined
  const peer = socket.authorized ? peerOf(certificate.subjectAltName) : undefined
  if (peer !== undefined) return peer
  const why = whyNotTrusted(socket.authorizationError, 'the certificate of the caller')
  return new ShadowError('unauthorised', why ?? 'the certificate of the caller is not one of this cluster', {
    hint: 'join again: shadow node join, shadow proxy join',
  })
}
