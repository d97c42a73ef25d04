import type { Clock } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { Hostname } from '../../model/hostname.ts'
import type { AppName } from '../../model/names.ts'
import type { Scope } from '../../model/scope.ts'
import { type Sandbox, type SessionEndKind, sessionParts } from '../../model/session.ts'
import type { Apps } from '../apps.ts'
import type { Nodes } from '../nodes.ts'
import type { EndedSession, Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import type { AppSecrets } from '../releases/app-secrets.ts'
import type { Forks } from '../snapshots/forks.ts'
import type { Volumes } from '../volumes.ts'
import { sessionConnects } from './connect.ts'
import { sessionEnds } from './ends.ts'
import { ofImage } from './image-sessions.ts'
import type { SessionIndex } from './session-index.ts'
import { sessionSpawns } from './spawn.ts'
import { type Connect, type Live, sessionViews, type View } from './views.ts'
import { volumeCopies } from './volume-copies.ts'
import { warmPool } from './warm-pool.ts'

type Parts = {
  readonly records: Pick<Records, 'read' | 'adopt'>
  readonly apps: Pick<Apps, 'find' | 'register' | 'changeSession' | 'removeSession'>
  readonly secrets: Pick<AppSecrets, 'values'>
  readonly relay: Pick<Relay, 'placement' | 'wake' | 'keep' | 'sleep' | 'instance'>
  readonly nodes: Pick<Nodes, 'find'>
  readonly index: Pick<SessionIndex, 'count' | 'names' | 'warm'>
  readonly forks: Pick<Forks, 'copy' | 'discard'>
  readonly volumes: Pick<Volumes, 'get' | 'movingOf'>
  readonly urlOf: (host: Hostname) => string
  readonly appsDomain: Hostname
  readonly clock: Clock
  readonly log: Log
}

export type Sessions = ReturnType<typeof keyedSessions>

/**
 * Sessions: apps that are made from a template, for a key or for nobody else, and that end by themselves. The name of a session follows from
 * its key, so the conditional write of the app's document decides which of many calls makes it: decision 069.
 */
export function keyedSessions(parts: Parts) {
  const { apps, index } = parts
  const ends = sessionEnds(parts)
  const views = sessionViews(parts)
  const spawns = sessionSpawns({ ...parts, copies: volumeCopies(parts), ends })
  const pool = warmPool({ ...parts, ends })
  const { read, end } = ends

  const get = async (name: AppName): Promise<View> => {
    const record = await read(name)
    return record.state === 'live' ? views.live(record as Live) : views.ended(name, record.session as EndedSession)
  }

  return {
    connect: sessionConnects({ ...parts, pool, spawns, ends, views }),

    /** The connect with the template that its image implies, if it names one. Fails with `forbidden`, `bad-input`. */
    ofImage: (asked: Connect, scope: Scope | undefined, host: string | undefined): Connect =>
      ofImage(parts, asked, scope, host),

    spawns,
    end,
    get,
    read,

    /** Ends it for a person; answers what it was. */
    async endAndShow(name: AppName, kind: SessionEndKind, signal: AbortSignal): Promise<View> {
      return views.ended(name, await end(name, { reason: 'asked', kind }, signal))
    },

    async list(template: AppName | undefined, after: AppName | undefined, limit: number) {
      const names = index.names(template).filter(name => after === undefined || name > after)
      const page = names.slice(0, limit)
      const found = await mapAtMost(16, page, name => get(name).catch(orNone))
      return {
        items: found.flatMap(one => (one === undefined || one.state === 'ended' ? [] : one)),
        next: names.length > limit ? (page.at(-1) ?? null) : null,
      }
    },

    /** Revokes tokens of a session, or of all sessions of a template. */
    async revoke(name: AppName, user: string | undefined): Promise<number> {
      const names = sessionParts(name) === undefined ? index.names(name) : [name]
      const counted = await mapAtMost(16, names, async session => {
        let revoked = 0
        const gone = apps.changeSession(session, now => {
          const left = now.tokens.filter(one => user !== undefined && one.user !== user)
          revoked = now.tokens.length - left.length
          // Without its seed the token by which programs work in a sandbox counts no more.
          const { seed, ...sandbox } = now.sandbox ?? {}
          if (seed !== undefined && user === undefined) {
            revoked++
            return { ...now, tokens: left, sandbox: sandbox as Sandbox }
          }
          return revoked === 0 ? undefined : { ...now, tokens: left }
        })
        await (names.length === 1 ? gone : gone.catch(orNone))
        return revoked
      })
      return counted.reduce((sum, one) => sum + one, 0)
    },
  }
}

const orNone = (error: unknown): undefined => {
  if (!isFailure(error, 'session-not-found')) throw error
}
