import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { ShadowError } from '../lib/errors.ts'
import { whyNotTrusted } from '../lib/tls/faults.ts'
import { type Peer, peerOf } from '../model/member.ts'
import type { Members } from './cluster/members.ts'
import type { Caller, KnownCallers } from './known-callers.ts'
import type { Tokens } from './tokens.ts'

export type Callers = ReturnType<typeof requestCallers>

/** Who calls the master: the owner of the token that a request shows or, in a cluster, the member whose certificate its connection shows. */
export function requestCallers({ tokens, members }: { tokens: Tokens; members: Members | undefined }) {
  const peers = new WeakMap<object, Peer | ShadowError | undefined>()
  const peerAt = ({ socket }: IncomingMessage): Peer | ShadowError | undefined => {
    if (!peers.has(socket)) peers.set(socket, shownBy(socket as TLSSocket))
    return peers.get(socket)
  }

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
    /** The caller of this request; fails with `unauthorised`. `basic`: the token may be the password of any user too. */
    async of(request: IncomingMessage, { basic = false } = {}): Promise<Caller> {
      const { authorization } = request.headers
      const token = bearerOf(authorization) ?? (basic ? passwordOf(authorization) : undefined)
      if (token !== undefined) return byToken(token)
      const peer = members && authorization === undefined ? peerAt(request) : undefined
      if (peer instanceof ShadowError) throw peer
      if (members === undefined || peer === undefined)
        throw new ShadowError('unauthorised', 'no token was given: Authorization: Bearer TOKEN')
      if (peer.role === 'master') throw new ShadowError('forbidden', 'a master does not call a master')
      return members.callerOf(peer)
    },

    /** The callers among which this one is known; see `KnownCallers`. */
    knownWith: (caller: Caller): KnownCallers =>
      caller.member !== undefined && members ? members.known : tokens.known,
  }
}

const bearerOf = (authorization: string | undefined): string | undefined =>
  /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]

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
