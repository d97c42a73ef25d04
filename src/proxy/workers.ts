import type { Clock } from '../lib/clock.ts'
import type { Counted } from '../lib/http/counters.ts'
import { claim, type Listening } from '../lib/http/listening.ts'
import type { TicketKeys } from '../lib/http/tls/ticket-keys.ts'
import type { Log } from '../lib/log.ts'
import { Counts } from '../lib/shared/counts.ts'
import { Gauges } from '../lib/shared/gauges.ts'
import { countsOf } from '../lib/threads/counted.ts'
import { entryOf } from '../lib/threads/entry.ts'
import { WorkerPool } from '../lib/threads/worker-pool.ts'
import type { Credential, Credentials } from '../lib/tls/credentials.ts'
import { instanceId } from '../model/instance-id.ts'
import type { OrderedCertificates } from './acme/front-certificates.ts'
import type { DemandListener } from './fleet/demand.ts'
import type { Bound, FrontConfig, FrontMemory } from './listeners.ts'
import type { NodeConnector } from './node-connector.ts'
import type { KnownNode, Nodes } from './nodes.ts'
import type { Pins } from './pins.ts'
import type { FrontMethods, ReplicaMethods } from './replica.ts'
import type { Routes } from './routes.ts'
import type { Targets } from './scaling/targets.ts'

/** What a worker of a front is given. */
export type FrontWorkerData = {
  readonly config: FrontConfig
  readonly memory: FrontMemory
  readonly thread: number
  readonly nodes: readonly KnownNode[]
  readonly ticketKeys: Uint8Array
  /** Whether apps are reached over the channel, or over HTTP. */
  readonly overChannel: boolean
  /** What the front shows to nodes, in a cluster. */
  readonly credential: Credential | undefined
}

/** What a front listens on, whatever threads serve it. */
export type FrontListeners = Listening & {
  readonly tls: Bound | undefined
  counted(): Promise<readonly Counted[]>
  deaths(): number
}

type Options = {
  readonly config: FrontConfig
  readonly routes: Routes
  readonly pins: Pins
  readonly targets: Targets
  readonly memory: FrontMemory
  readonly nodes: Nodes
  readonly demand: DemandListener
  readonly certificates: OrderedCertificates
  readonly connector: NodeConnector
  readonly credentials: Credentials | undefined
  readonly ticketKeys: TicketKeys
  readonly clock: Clock
  readonly log: Log
}

// Beyond what requests in flight may take when the front stops.
const END_AFTER_DRAIN_MS = 2_000

/** The workers of a front: they serve, this thread keeps what they all go by. */
export class Workers {
  #pool: WorkerPool | undefined

  /** Notifies all workers of a change. */
  notify<N extends keyof ReplicaMethods & string>(method: N, input: Parameters<ReplicaMethods[N]>[0]): void {
    for (const channel of this.#pool?.channels ?? []) channel.other<ReplicaMethods>().notify(method, input)
  }

  /** Starts them; disposing what this gives drains and ends them. */
  async open({
    config,
    routes,
    pins,
    targets,
    memory,
    nodes,
    demand,
    certificates,
    connector,
    credentials,
    ticketKeys,
    clock,
    log,
  }: Options): Promise<FrontListeners> {
    const { at, ...bound } = await claim(config.listen)
    const tls = config.tlsListen && (await claim(config.tlsListen))
    const methods: FrontMethods = {
      resolve: async (hostname, cancellation) => {
        const app = await routes.resolve(hostname, cancellation)
        return { app, pin: pins.get(instanceId(app.name)) }
      },
      pin: ({ instance, node }) => pins.set(instance, node),
      failed: node => nodes.failed(node),
      refresh: () => nodes.refresh(),
      used: route => targets.used(route),
      held: app => targets.held(app),
      doubt: app => targets.doubt(app),
      refused: app => demand.refused(app),
      met: app => demand.met(app),
      want: servername => certificates.want(servername),
      challenge: token => certificates.challenge(token),
    }
    const data = (thread: number): FrontWorkerData => ({
      config: { ...config, listen: at, tlsListen: tls?.at },
      memory,
      thread,
      nodes: nodes.all,
      ticketKeys: ticketKeys.current,
      overChannel: connector.share !== undefined,
      credential: credentials?.current,
    })
    const pool = new WorkerPool({
      entry: entryOf(import.meta.url, './worker.ts', 'front-worker.js'),
      size: config.workers,
      data,
      serve: (channel, thread) => {
        channel.serve(methods)
        const shared = connector.share?.(channel)
        return {
          [Symbol.dispose]: () => {
            new Counts(memory.connections).giveAll(thread)
            new Gauges(memory.use).giveAll(thread)
            shared?.[Symbol.dispose]()
          },
        }
      },
      endWithinMs: config.drainWithin + END_AFTER_DRAIN_MS,
      clock,
      log,
    })
    this.#pool = pool
    targets.onChange(app => this.notify('targets', { app, ...targets.of(app) }))
    certificates.onChange(() => this.notify('certificates', null))
    ticketKeys.onNew(keys => this.notify('ticketKeys', keys))
    await pool.start()
    return {
      ...bound,
      tls: tls && { address: tls.address, port: tls.port },
      counted: countsOf(pool),
      deaths: () => pool.deaths,
      [Symbol.asyncDispose]: () => pool.end(),
    }
  }
}
