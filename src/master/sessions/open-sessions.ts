import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Hostname } from '../../model/hostname.ts'
import type { Apps } from '../apps.ts'
import type { ChangeStream } from '../change-stream.ts'
import type { Kept } from '../kept.ts'
import { MasterLease } from '../master-lease.ts'
import type { Nodes } from '../nodes.ts'
import type { Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import type { Storage } from '../storage/storage.ts'
import { SessionIndex } from './session-index.ts'
import { SessionKeeper } from './session-keeper.ts'
import { sessionPauses } from './session-pauses.ts'
import { sessionStreams } from './session-streams.ts'
import { keyedSessions } from './sessions.ts'
import { WarmFiller } from './warm-filler.ts'

type Parts = Omit<Parameters<typeof keyedSessions>[0], 'apps' | 'index' | 'relay' | 'records' | 'urlOf'> & {
  readonly apps: Apps
  readonly records: Records
  readonly relay: Relay
  readonly nodes: Nodes
  readonly changes: ChangeStream
  readonly kept: Pick<Kept, 'pools'>
  readonly storage: Storage
  /** The URL of the fronts, if it is known. */
  readonly front: () => string | undefined
  readonly clock: Clock
  readonly log: Log
}
export type OpenSessions = ReturnType<typeof openSessions>

/** The room of sessions by key: what answers calls, and what ends sessions when it is time. */
export function openSessions({ front, ...parts }: Parts) {
  const index = new SessionIndex()
  const urlOf = (host: Hostname): string => {
    const url = new URL(front() ?? `https://${host}/`)
    url.hostname = host
    return url.href
  }
  const sessions = keyedSessions({ ...parts, index, urlOf })
  const { storage, clock } = parts
  const lease = new MasterLease({ storage, key: 'sessions/filler.json', lastsMs: 15_000, clock })
  const filler = new WarmFiller({ ...parts, index, sessions, lease })
  const pauses = sessionPauses(parts)
  const keeper = new SessionKeeper({ ...parts, index, sessions, pauses })
  return {
    sessions,
    index,
    pauses,
    streams: sessionStreams({ ...parts, sessions }),
    async run(signal: AbortSignal): Promise<void> {
      await Promise.all([keeper.run(signal), filler.run(signal)])
    },
    [Symbol.dispose]() {
      filler[Symbol.dispose]()
      keeper[Symbol.dispose]()
    },
  }
}
