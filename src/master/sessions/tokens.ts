import { randomBytes } from 'node:crypto'
import { tokenHash } from '../../api/session-token.ts'
import { ShadowError } from '../../lib/errors.ts'
import { MOST_SESSION_TOKENS, type Session, type SessionToken, tokenCounts } from '../../model/session.ts'

const TOKEN_BYTES = 32

export type Visitor = {
  readonly user?: string | undefined
  readonly auth?: Readonly<Record<string, unknown>> | undefined
  readonly until?: string | undefined
  /** Of the caller's own; left out: a random one. */
  readonly token?: string | undefined
}

const MOST_AUTH_BYTES = 2_000

/** A token for a visitor, and what is stored of it. */
export function newToken({ user, auth, until, token: own }: Visitor): { token: string; stored: SessionToken } {
  const token = own ?? randomBytes(TOKEN_BYTES).toString('base64url')
  return {
    token,
    stored: {
      hash: tokenHash(token).toString('base64url'),
      ...(user !== undefined && { user }),
      ...(auth !== undefined && { auth: authText(auth) }),
      ...(until !== undefined && { until }),
    },
  }
}

/** The session with one token more; those that have expired go. Fails with `bad-input` where there are too many. */
export function withToken(session: Session, token: SessionToken, wall: number): Session {
  const others = session.tokens.filter(one => one.hash !== token.hash && tokenCounts(one, wall))
  if (others.length >= MOST_SESSION_TOKENS)
    throw new ShadowError('bad-input', `the session has ${others.length} tokens that count, and may have no more`, {
      hint: 'give tokens a shorter time: tokenLifetime; or revoke some',
    })
  return { ...session, tokens: [...others, token] }
}

/** JSON without characters that a header cannot have. */
export const asciiJson = (value: object): string =>
  JSON.stringify(value).replace(/[^\x20-\x7e]/g, one => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)

function authText(auth: Readonly<Record<string, unknown>>): string {
  const text = asciiJson(auth)
  if (text.length > MOST_AUTH_BYTES)
    throw new ShadowError('bad-input', `auth takes ${text.length} bytes as JSON, and may take ${MOST_AUTH_BYTES}`)
  return text
}
