import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Hostname } from '../../model/hostname.ts'
import type { ChangeStream } from '../change-stream.ts'
import type { Nodes } from '../nodes.ts'
import type { Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import { SessionIndex } from './session-index.ts'
import { SessionKeeper } from './session-keeper.ts'
import { sessionStreams } from './session-streams.ts'
import { keyedSessions } from './sessions.ts'

type Parts = Omit<Parameters<typeof keyedSessions>[0], 'index' | 'relay' | 'records' | 'urlOf'> & {
  readonly records: Records
  readonly relay: Relay
  readonly nodes: Nodes
  readonly changes: ChangeStream
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
  const keeper = new SessionKeeper({ ...parts, index, sessions })
  return {
    sessions,
    streams: sessionStreams({ ...parts, sessions }),
    run: (signal: AbortSignal): Promise<void> => keeper.run(signal),
    [Symbol.dispose]: () => keeper[Symbol.dispose](),
  }
}
