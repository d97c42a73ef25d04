import type { z } from 'zod'
import type { ConnectedSchema, ConnectSchema, SessionViewSchema } from '../api/session-schemas.ts'

/** What `connect` is asked for. */
export type ConnectRequest = z.input<typeof ConnectSchema>
/** A session with a URL and a token for one visitor. */
export type Connected = z.output<typeof ConnectedSchema>
/** A session as it is shown. */
export type SessionView = z.output<typeof SessionViewSchema>
export type SessionState = SessionView['state']
/** One event of a status stream. `end`: how it ended, with the states `ending` and `ended`. */
export type SessionStatus = {
  readonly state: SessionState
  readonly at: string
  readonly end?: NonNullable<SessionView['end']>
}
