import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import { type SessionEnd, sessionNotFound } from '../../model/session.ts'
import type { Apps } from '../apps.ts'
import type { AppRecord, EndedSession, Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import type { Live, SessionApp } from './views.ts'

type Parts = {
  readonly records: Pick<Records, 'read'>
  readonly apps: Pick<Apps, 'changeSession' | 'removeSession'>
  readonly relay: Pick<Relay, 'sleep'>
  readonly clock: Clock
  readonly log: Log
}
type How = Omit<SessionEnd, 'at'>
type IsMeant = (now: SessionApp) => boolean

export type SessionEnds = ReturnType<typeof sessionEnds>

/**
 * Ends sessions: by a conditional write of `ending`, and then by the removal of the app. A session with a key may be made again under its name
 * at once, so each step is about the session that was read first, known by when it was made.
 */
export function sessionEnds({ records, apps, relay, clock, log }: Parts) {
  const ending = new Map<string, Promise<EndedSession>>()

  const read = async (name: AppName): Promise<Exclude<AppRecord, { state: 'none' }>> => {
    const record = await records.read(name)
    if (record.state === 'none' || (record.state === 'live' ? record.app.session : record.session) === undefined)
      throw sessionNotFound(name)
    return record
  }

  async function endNow({ name, createdAt }: App, how: How, signal: AbortSignal, isMeant?: IsMeant) {
    const { app } = (await apps.changeSession(name, (now, of) => {
      if (of.createdAt !== createdAt || isMeant?.(of) === false) throw sessionNotFound(name)
      return { ...now, tokens: [], ending: now.ending ?? { at: timestamp(clock), ...how } }
    })) as Live
    // The reason that was written first counts: what is being stopped by one call must not be removed by another before it has stopped.
    const { reason = how.reason } = app.session.ending ?? {}
    const hasStopped = reason === 'crashed' || reason === 'lost' || reason === 'swept'
    if (!hasStopped)
      await relay.sleep(app, signal, { kind: how.kind, createdAt }).catch(error => {
        if (!isFailure(error, 'session-not-found')) throw error // another one has its name by now
      })
    await apps.removeSession(app, signal).catch(error => {
      if (!isFailure(error, 'app-not-found')) throw error // another master was quicker
    })
    log.info('session ended', { session: name, ...app.session.ending })
    const ended = await read(name)
    return ended.state === 'removed' ? (ended.session as EndedSession) : { ...app.session, domains: app.domains }
  }

  return {
    /** The document of a session that lives or has ended. Fails with `session-not-found`. */
    read,

    /**
     * Ends a session; resolves with what it was once it has ended. Calls join one that is under way here. `isMeant`: asked in the write that
     * decides; else it fails with `session-not-found`.
     */
    async end(name: AppName, how: How, signal: AbortSignal, isMeant?: IsMeant): Promise<EndedSession> {
      const record = await read(name)
      if (record.state === 'removed') return record.session as EndedSession
      const { app } = record
      const key = `${name} ${app.createdAt}`
      const underWay = ending.get(key)
      if (underWay !== undefined && how.kind === 'soft') return underWay
      const done = endNow(app, how, signal, isMeant).finally(() => {
        if (ending.get(key) === done) ending.delete(key)
      })
      ending.set(key, done)
      return done
    },
  }
}
