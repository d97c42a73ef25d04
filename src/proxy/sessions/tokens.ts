import { timingSafeEqual } from 'node:crypto'
import { tokenHash } from '../../api/session-token.ts'
import type { Session, SessionToken } from '../../model/session.ts'

type Known = { readonly hash: Buffer; readonly token: SessionToken }

// Keyed by the session object: a route that is read anew has a new one, and the old one is collected.
const known = new WeakMap<Session, readonly Known[]>()

/** The token of the session with this text, expired or not. The time that it takes tells nothing of the tokens but their number. */
export function tokenOf(session: Session, text: string): SessionToken | undefined {
  const shown = tokenHash(text)
  let found: SessionToken | undefined
  for (const { hash, token } of knownOf(session)) if (timingSafeEqual(hash, shown)) found = token
  return found
}

function knownOf(session: Session): readonly Known[] {
  let all = known.get(session)
  if (all === undefined) {
    all = session.tokens.flatMap(token => {
      const hash = Buffer.from(token.hash, 'base64url')
      return hash.length === HASH_BYTES ? [{ hash, token }] : []
    })
    known.set(session, all)
  }
  return all
}

const HASH_BYTES = 32
