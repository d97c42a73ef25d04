import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import { sessionNotFound } from '../../model/session.ts'
import type { Found } from '../app-writes.ts'
import type { Apps } from '../apps.ts'
import type { Handlers } from '../call.ts'
import { scopeOf } from '../owners/permission.ts'
import type { Permits } from '../permits.ts'
import type { SessionStreams } from './session-streams.ts'
import type { Sessions } from './sessions.ts'

type Parts = {
  readonly apps: Pick<Apps, 'setTemplate' | 'find'>
  readonly sessions: Sessions
  readonly streams: SessionStreams
  readonly permits: Pick<Permits, 'mustBePlaced'>
}
type Shown = (found: Found, env: 'values' | 'digests') => { value: App; etag: string }

/** The handlers of the calls about templates and their sessions. */
export function sessionHandlers({ apps, sessions, streams, permits }: Parts, shown: Shown) {
  return {
    setTemplate: async ({ params, body }, { ifMatch }) =>
      shown(await apps.setTemplate(params.app, body, ifMatch), 'digests'),
    async connectSession({ body }, { caller, request, signal }) {
      const asked = sessions.ofImage(body, scopeOf(caller), request.headers.host)
      return { value: await sessions.connect(asked, caller?.name, signal) }
    },
    listSessions: async ({ query: { template, after, limit } }) => ({
      value: await sessions.list(template, after, limit),
    }),
    getSession: async ({ params }) => ({ value: await sessions.get(params.session) }),
    followSession: ({ params }, { request, response, signal }) =>
      streams.send(params.session, request.headers['last-event-id']?.toString(), response, signal),
    endSession: async ({ params, query: { kind } }, { signal }) => ({
      value: await sessions.endAndShow(params.session, kind, signal),
    }),
    revokeTokens: async ({ params, body: { user } }) => ({
      value: { revoked: await sessions.revoke(params.app as AppName, user) },
    }),
    async sessionEnded({ params, body }, { caller, permit, signal }) {
      const { app } = await apps.find(params.session)
      await permits.mustBePlaced(app, caller, permit)
      const { createdAt, ...how } = body
      if (app.createdAt !== createdAt) throw sessionNotFound(params.session)
      await sessions.end(params.session, { ...how, kind: 'soft' }, signal, now => now.createdAt === createdAt)
    },
  } satisfies Partial<Handlers>
}
