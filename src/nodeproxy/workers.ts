import type { Clock } from '../lib/clock.ts'
import { claim, type Listening } from '../lib/http/listening.ts'
import type { Log } from '../lib/log.ts'
import type { ListenAddress } from '../lib/settings.ts'
import { Crew } from '../lib/threads/crew.ts'
import { entryOf } from '../lib/threads/entry.ts'
import type { NodeName } from '../model/names.ts'
import type { NodeproxyConfig } from './config.ts'
import type { Grants } from './grants.ts'

/** What a worker of a node is given. */
export type NodeWorkerData = {
  readonly listen: ListenAddress
  readonly node: NodeName
  readonly key: string
  /** Where the thread that has the instances serves the API. */
  readonly door: string
  readonly drainMs: number
}

type Options = {
  readonly config: Pick<NodeproxyConfig, 'listen' | 'workers'>
  readonly node: NodeName
  readonly key: string
  readonly door: Listening
  readonly grants: Grants
  readonly drainMs: number
  readonly clock: Clock
  readonly log: Log
}

const END_AFTER_DRAIN_MS = 2_000

/** Starts the workers of a node: they serve requests for apps, and pass calls of the API on. Disposing it drains and ends them. */
export async function openWorkers({
  config,
  node,
  key,
  door,
  grants,
  drainMs,
  clock,
  log,
}: Options): Promise<Listening> {
  const { at, ...bound } = await claim(config.listen)
  const data: NodeWorkerData = { listen: at, node, key, door: door.address, drainMs }
  const crew = new Crew({
    entry: entryOf(import.meta.url, './worker.ts', 'node-worker.js'),
    size: config.workers,
    data: () => data,
    serve: line => grants.serve(line),
    endWithinMs: drainMs + END_AFTER_DRAIN_MS,
    clock,
    log,
  })
  await crew.start()
  return { ...bound, [Symbol.asyncDispose]: () => crew.end() }
}
