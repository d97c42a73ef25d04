import type { CallAnswer } from '../api/call-shape.ts'
import type { masterCalls } from '../api/master-calls.ts'
import { ApiError, call, sessionEnded } from './api.ts'
import { store } from './store.ts'

export type Session = CallAnswer<(typeof masterCalls)['getDashboardSession']>

/** Who is signed in; null: nobody; undefined: not known yet. */
export const session = store<Session | null | undefined>(undefined)

/** Finds out who is signed in. A code of a one-time link in the address is exchanged for a session first. */
export async function readSession(): Promise<void> {
  try {
    const code = new URLSearchParams(location.hash.slice(1)).get('code')
    if (code !== null) {
      history.replaceState(null, '', location.pathname + location.search)
      session.set(await call('startDashboardSession', { body: { code } }))
    } else session.set(await call('getDashboardSession', {}))
    sessionEnded.set(undefined)
  } catch (error) {
    const { status } = error as ApiError
    if (signsInAgain(error as ApiError)) return
    if (status !== 401 && status !== 403 && session.value !== undefined) return // the master is away: the session may be good still
    if (session.value) sessionEnded.set(error as ApiError)
    else if (!(error instanceof ApiError) || error.code !== 'unauthorised') sessionEnded.set(error as ApiError)
    session.set(null)
  }
}

const AGAIN_KEY = 'shadow-signed-in-again'
const AGAIN_AFTER_MS = 60_000

/** A session by OIDC that has expired is renewed by the provider, which asks the person nothing; at most once a minute. */
export function signsInAgain({ facts }: ApiError): boolean {
  if (facts?.['session'] !== 'expired' || facts['signedInBy'] !== 'oidc') return false
  if (Date.now() - Number(sessionStorage.getItem(AGAIN_KEY)) < AGAIN_AFTER_MS) return false
  sessionStorage.setItem(AGAIN_KEY, String(Date.now()))
  const page = location.pathname + location.search
  location.assign(`/v1/dashboard/oidc/start?${new URLSearchParams({ quiet: 'true', page })}`)
  return true
}

/** Signs in by a token. Throws the `ApiError` of a token that is not taken. */
export async function signIn(token: string): Promise<void> {
  session.set(await call('startDashboardSession', { body: { token } }))
  sessionEnded.set(undefined)
}

export async function signOut(): Promise<void> {
  await call('endDashboardSession', {})
  sessionEnded.set(undefined)
  session.set(null)
}
