import type { Clock } from '../lib/clock.ts'
import type { Counted } from '../lib/http/counters.ts'
import { claim, type Listening } from '../lib/http/listening.ts'
import type { Log } from '../lib/log.ts'
import type { ListenAddress } from '../lib/settings.ts'
import { Counts, countsMemory } from '../lib/shared/counts.ts'
import { Gauges } from '../lib/shared/gauges.ts'
import { countsOf } from '../lib/threads/counted.ts'
import { entryOf } from '../lib/threads/entry.ts'
import { WorkerPool } from '../lib/threads/worker-pool.ts'
import type { NodeName } from '../model/names.ts'
import type { NodeproxyConfig } from './config.ts'
import type { Grants } from './grants.ts'
import type { NodeUse } from './shared-counts.ts'
import type { NodeTrust, Trust, TrustMethods } from './trust.ts'

/** What a worker of a node is given. */
export type NodeWorkerData = {
  readonly listen: ListenAddress
  readonly node: NodeName
  readonly key: string
  /** Where the thread that has the instances serves the API. */
  readonly mainListener: string
  readonly drainMs: number
  readonly use: NodeUse
  /** Connections that they may have together are counted in this memory, where each has its number. */
  readonly memory: SharedArrayBuffer
  readonly thread: number
  readonly trust: NodeTrust | undefined
}

/** What a node listens on, whatever threads serve it. */
export type WorkerListeners = Listening & { counted(): Promise<readonly Counted[]>; deaths(): number }

type Options = {
  readonly config: Pick<NodeproxyConfig, 'workers'> & { readonly listen: ListenAddress }
  readonly node: NodeName
  readonly key: string
  readonly mainListener: Listening
  readonly grants: Grants
  readonly trust: Trust | undefined
  readonly use: NodeUse
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
  mainListener,
  grants,
  trust,
  use,
  drainMs,
  clock,
  log,
}: Options): Promise<WorkerListeners> {
  const { at, ...bound } = await claim(config.listen)
  const memory = countsMemory({ slots: 1, threads: config.workers })
  const data = (thread: number): NodeWorkerData => ({
    ...{ listen: at, node, key, mainListener: mainListener.address, drainMs },
    ...{ use, memory, thread, trust: trust?.now },
  })
  const pool = new WorkerPool({
    entry: entryOf(import.meta.url, './worker.ts', 'node-worker.js'),
    size: config.workers,
    data,
    serve: (channel, thread) => {
      const served = grants.serve(channel)
      return {
        [Symbol.dispose]: () => {
          new Counts(memory).giveAll(thread)
          new Gauges(use.memory).giveAll(thread + 1)
          served[Symbol.dispose]()
        },
      }
    },
    endWithinMs: drainMs + END_AFTER_DRAIN_MS,
    clock,
    log,
  })
  trust?.onChange(now => {
    for (const channel of pool.channels) channel.other<TrustMethods>().notify('trust', now)
  })
  await pool.start()
  return {
    ...bound,
    counted: countsOf(pool),
    deaths: () => pool.deaths,
    [Symbol.asyncDispose]: () => pool.end(),
  }
}
