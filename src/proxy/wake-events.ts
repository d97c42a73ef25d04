import { openEvents } from '../lib/http/api/events.ts'
import type { StreamedResponse } from '../lib/http/exchange.ts'
import type { Node } from '../model/app.ts'
import { STREAM_HEARTBEAT_EVERY } from '../model/intervals.ts'
import type { Route } from '../model/route.ts'
import type { NodeConnector } from './node-connector.ts'

/** Where the waiting page follows its app, on the app's own hostname. */
export const EVENTS_PATH = '/.shadow/events'

/** Sends the progress of a wake to the waiting page, as server-sent events of `WakeProgress`, until the wake succeeds or fails. */
export async function followWake(
  connector: Pick<NodeConnector, 'follow'>,
  route: Route,
  node: Node,
  response: StreamedResponse,
  signal: AbortSignal,
): Promise<void> {
  const send = openEvents(response, STREAM_HEARTBEAT_EVERY)
  const done = new AbortController()
  let last: string | undefined
  for await (const { phase, stage, ms } of connector.follow(route, node, AbortSignal.any([signal, done.signal]))) {
    const now = `${phase} ${stage}`
    if (now === last) continue
    last = now
    send({ phase, stage, ms })
    if (phase !== 'waking' && phase !== 'stopping') break
  }
  done.abort()
  response.end()
}
