import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Seals } from '../../lib/seals.ts'
import type { Sandbox } from '../../model/session.ts'
import { fault } from './faults.ts'

const SEED_BYTES = 16

export const newSeed = (): string => randomBytes(SEED_BYTES).toString('base64url')

export type Access = ReturnType<typeof sandboxAccess>

/**
 * The tokens of sandboxes. They follow from a seed in the document of the session and from the key of the masters, which is not in the store. So
 * nothing that opens a sandbox is stored, each master can tell the token again at each connect, and can check signatures that were made with it.
 */
export function sandboxAccess(seals: Pick<Seals, 'digest'>) {
  const tokenOf = (seed: string): string => seals.digest(seed, 'sandbox access')
  return {
    tokenOf,
    /** What opens the ports of a sandbox whose template asks visitors for a token. */
    trafficTokenOf: (seed: string): string => seals.digest(seed, 'sandbox traffic'),

    /** Fails with `unauthenticated` unless the token is that of the sandbox. */
    mustOpen({ seed }: Pick<Sandbox, 'seed'>, shown: string | undefined): void {
      if (shown === undefined) throw fault('unauthenticated', 'no token was shown: X-Access-Token')
      if (seed === undefined || !isSame(shown, tokenOf(seed)))
        throw fault('unauthenticated', 'the token is not that of the sandbox, or was revoked: connect to it again')
    },

    /** Whether the signature of a file's URL was made with the token of this sandbox. */
    hasSigned: ({ seed }: Pick<Sandbox, 'seed'>, url: SignedUrl): boolean =>
      seed !== undefined && isSame(url.signature, signatureOf(url, tokenOf(seed))),
  }
}

/** A URL of `/files` that needs no header: E2B's clients make it. */
export type SignedUrl = {
  readonly signature: string
  readonly path: string
  readonly operation: 'read' | 'write'
  readonly user: string
  /** In seconds since the epoch, as it is written in the URL. */
  readonly until: string | undefined
}

/** Reads the signature of a URL; undefined: it has none. Fails with `unauthenticated` if it has expired by now. */
export function signedUrl(query: URLSearchParams, method: string, wall: number): SignedUrl | undefined {
  const signature = query.get('signature')
  if (signature === null) return undefined
  const until = query.get('signature_expiration') ?? undefined
  if (until !== undefined && !(/^\d{1,12}$/.test(until) && Number(until) * 1_000 > wall))
    throw fault('unauthenticated', 'the signature of the URL has expired')
  return {
    ...{ signature, until },
    path: query.get('path') ?? '',
    operation: method === 'POST' ? 'write' : 'read',
    user: query.get('username') ?? '',
  }
}

/** As E2B's clients do it: the SHA-256 of all that counts and of the token, in base64 without padding. @internal */
export function signatureOf({ path, operation, user, until }: Omit<SignedUrl, 'signature'>, token: string): string {
  const text = [path, operation, user, token, ...(until === undefined ? [] : [until])].join(':')
  return `v1_${createHash('sha256').update(text).digest('base64').replace(/=+$/, '')}`
}

/** Compares without telling by its time how much is the same. */
function isSame(shown: string, right: string): boolean {
  const [a, b] = [Buffer.from(shown), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}
