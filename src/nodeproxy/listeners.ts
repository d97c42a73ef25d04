import { goneUpstream } from '../api/forwarding.ts'
import type { Clock } from '../lib/clock.ts'
import { ExchangeServer, listenFor } from '../lib/http/downstream/exchange-server.ts'
import type { RequestHandler } from '../lib/http/exchange.ts'
import type { SocketBudgetOptions } from '../lib/http/guard/socket-budget.ts'
import type { Listening } from '../lib/http/listening.ts'
import type { Log } from '../lib/log.ts'
import type { Metrics } from '../lib/metrics/metrics.ts'
import type { ListenAddress } from '../lib/settings.ts'
import type { SpanCounts } from '../lib/tracing/open.ts'
import type { EndedRun } from '../model/instance.ts'
import type { NodeName } from '../model/names.ts'
import type { NodeproxyConfig } from './config.ts'
import type { Grants } from './grants.ts'
import { NODE_LIMITS } from './http-limits.ts'
import { listenTrusted } from './listen-trusted.ts'
import type { NodeUse } from './shared-counts.ts'
import type { Trust } from './trust.ts'
import { openWorkers } from './workers.ts'

type Options = {
  readonly config: Pick<NodeproxyConfig, 'workers' | 'drainWithin'> & { readonly listen: ListenAddress }
  readonly node: NodeName
  readonly key: string
  /** Handles requests that come to this thread. */
  readonly handler: RequestHandler
  readonly grants: Grants
  /** In a cluster; else it speaks plain HTTP. */
  readonly trust: Trust | undefined
  readonly use: NodeUse
  /** Of this thread. */
  readonly sockets: SocketBudgetOptions
  readonly metrics: Metrics
  /** Of the traces of this thread. */
  readonly spans: () => SpanCounts
  readonly clock: Clock
  readonly log: Log
}

/** Where a node listens. Disposing it drains and closes. */
export type Listeners = Listening & {
  /** No request goes to this run of an app any more. */
  forget(ended: EndedRun): void
  /** How many workers have died. */
  deaths(): number
}

// The workers connect to this thread here.
const OWN_LISTENER = { host: '127.0.0.1', port: 0 }

/** Listens in this thread, or in workers, which pass calls of the API to a listener of this thread; fails with `bad-input`. */
export async function openListeners({
  config,
  node,
  key,
  handler,
  grants,
  trust,
  use,
  sockets,
  metrics,
  spans,
  clock,
  log,
}: Options): Promise<Listeners> {
  await using opened = new AsyncDisposableStack()
  const connections = { most: use.connections }
  const exchanges = new ExchangeServer({ handler, log, clock, limits: NODE_LIMITS, connections, sockets })
  const hasWorkers = config.workers > 1
  const own = opened.use(
    hasWorkers
      ? await listenFor(exchanges, OWN_LISTENER, config.drainWithin)
      : await listenTrusted(exchanges, config.listen, { trust, drainMs: config.drainWithin, log }),
  )
  const shared = { config, use, node, key, mainListener: own, grants, trust, drainMs: config.drainWithin, clock, log }
  const workers = hasWorkers ? opened.use(await openWorkers(shared)) : undefined
  metrics.count('node', async () => [{ ...exchanges.counted, ...spans() }, ...((await workers?.counted()) ?? [])])
  const { address, port } = workers ?? own
  const held = opened.move()
  return {
    address,
    port,
    deaths: () => workers?.deaths() ?? 0,
    forget: ended => exchanges.forget(goneUpstream(ended)),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}
