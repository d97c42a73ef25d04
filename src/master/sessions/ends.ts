import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { AppName } from '../../model/names.ts'
import { type Session, type SessionEnd, sessionNotFound } from '../../model/session.ts'
import type { Apps } from '../apps.ts'
import type { AppRecord, EndedSession, Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import type { Live } from './views.ts'

type Parts = {
  readonly records: Pick<Records, 'read'>
  readonly apps: Pick<Apps, 'changeSession' | 'remove'>
  readonly relay: Pick<Relay, 'sleep'>
  readonly clock: Clock
  readonly log: Log
}
type How = Omit<SessionEnd, 'at'>
type IsMeant = (now: Session) => boolean

export type SessionEnds = ReturnType<typeof sessionEnds>

/** Ends sessions: by a conditional write of `ending`, and then by the removal of the app. */
export function sessionEnds({ records, apps, relay, clock, log }: Parts) {
  const ending = new Map<AppName, Promise<EndedSession>>()

  const read = async (name: AppName): Promise<Exclude<AppRecord, { state: 'none' }>> => {
    const record = await records.read(name)
    if (record.state === 'none' || (record.state === 'live' ? record.app.session : record.session) === undefined)
      throw sessionNotFound(name)
    return record
  }

  async function endNow(name: AppName, how: How, signal: AbortSignal, isMeant?: IsMeant): Promise<EndedSession> {
    const record = await read(name)
    if (record.state === 'removed') return record.session as EndedSession
    const { app } = (await apps.changeSession(name, now => {
      if (isMeant?.(now) === false) throw sessionNotFound(name)
      return { ...now, tokens: [], ending: now.ending ?? { at: timestamp(clock), ...how } }
    })) as Live
    // The reason that was written first counts: what is being stopped by one call must not be removed by another before it has stopped.
    const { reason = how.reason } = app.session.ending ?? {}
    const hasStopped = reason === 'crashed' || reason === 'lost' || reason === 'swept'
    if (!hasStopped) await relay.sleep(app, signal, { kind: how.kind })
    // What a session with a key has written is there again when the key is.
    const keeps = app.session.key !== undefined
    await apps.remove(name, !keeps, undefined, signal, app.session.ending).catch(error => {
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
      const underWay = ending.get(name)
      if (underWay !== undefined && how.kind === 'soft') return underWay
      const done = endNow(name, how, signal, isMeant).finally(() => {
        if (ending.get(name) === done) ending.delete(name)
      })
      ending.set(name, done)
      return done
    },
  }
}
