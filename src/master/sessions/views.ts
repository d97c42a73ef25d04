import type { z } from 'zod'
import type { ConnectSchema } from '../../api/connect-schema.ts'
import type { ConnectedSchema, SessionViewSchema } from '../../api/session-schemas.ts'
import type { Clock } from '../../lib/clock.ts'
import type { App } from '../../model/app.ts'
import type { Hostname } from '../../model/hostname.ts'
import type { InstanceView } from '../../model/instance.ts'
import type { AppName } from '../../model/names.ts'
import { type Session, tokenCounts } from '../../model/session.ts'
import type { Found } from '../app-writes.ts'
import type { EndedSession } from '../records.ts'
import type { Relay } from '../relay.ts'
import { stateOf } from './states.ts'

type Parts = {
  readonly relay: Pick<Relay, 'instance'>
  readonly urlOf: (host: Hostname) => string
  readonly clock: Clock
}
/** What `connect` was asked for. */
export type Connect = z.output<typeof ConnectSchema> & {
  /** What a new session is beside that, such as a sandbox. */
  readonly as?: Partial<Session>
  /** The name of the session, where it does not follow from template and key alone. */
  readonly name?: AppName
  /** The template of a session of an image, which is stored nowhere. */
  readonly of?: App
}
export type View = z.output<typeof SessionViewSchema>
export type Connected = z.output<typeof ConnectedSchema>
/** The app of a session that lives. */
export type SessionApp = App & { readonly session: Session }
export type Live = Found & { readonly app: SessionApp }
/** A session with a token for one caller, who has joined it, made it, or taken it from the pool. */
export type Got = Live & { readonly token: string | undefined; readonly by: 'join' | 'spawn' | 'pool' }

export type SessionViews = ReturnType<typeof sessionViews>

/** Sessions as they are shown to callers. */
export function sessionViews({ relay, urlOf, clock }: Parts) {
  const shown = (name: AppName, session: Session, domains: readonly Hostname[]) => ({
    session: name,
    template: session.template,
    key: session.key === undefined ? null : { ...session.key },
    until: session.until ?? null,
    url: domains[0] === undefined ? '' : urlOf(domains[0]),
    users: [...new Set(session.tokens.flatMap(one => (tokenCounts(one, clock.wall()) ? (one.user ?? []) : [])))],
  })

  return {
    async live({ app }: Live): Promise<View> {
      const instance = await relay.instance(app).catch((): InstanceView | undefined => undefined) // its node is away
      const { session } = app
      return {
        ...shown(app.name, session, app.domains),
        ...stateOf(session, instance, app.createdAt),
        node: instance?.node ?? session.node ?? null,
        warm: session.warm !== undefined,
        end: session.ending ?? null,
      }
    },

    ended: (name: AppName, session: EndedSession): View => ({
      ...shown(name, session, session.domains),
      state: 'ended',
      since: session.ending?.at ?? '',
      node: session.node ?? null,
      warm: false,
      end: session.ending ?? null,
    }),

    connected: (seen: View, { token, by }: Got): Connected => ({
      ...seen,
      spawned: by !== 'join',
      fromPool: by === 'pool',
      token: token ?? null,
      url: token === undefined ? seen.url : `${seen.url}${token}/`,
      statusUrl: `/v1/sessions/${seen.session}/status`,
    }),
  }
}
