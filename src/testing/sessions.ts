import { tokenHash } from '../api/session-token.ts'
import type { App } from '../model/app.ts'
import type { Session, SessionToken } from '../model/session.ts'
import { anApp } from './front.ts'

export const SESSION = 'editor--aaaaaaaaaaaaaaaa'
export const SESSION_HOST = 'aaaaaaaaaaaaaaaa.editor.localhost'
export const ANNS_TOKEN = 'anns-token-0123456789'
export const BOBS_TOKEN = 'bobs-token-0123456789'

/** What a master stores of a token. */
export const storedToken = (token: string, rest: Omit<SessionToken, 'hash'> = {}): SessionToken => ({
  hash: tokenHash(token).toString('base64url'),
  ...rest,
})

/** A session of the template `editor`, with a token of ann. */
export const aSession = (changes: Partial<Session> = {}): App => {
  const tokens = [storedToken(ANNS_TOKEN, { user: 'ann', auth: '{"may":"write"}' })]
  const session = { template: 'editor', whenIdle: 'end', visitors: 'token', tokens, ...changes } as Session
  return { ...anApp(SESSION, [SESSION_HOST]), session }
}
