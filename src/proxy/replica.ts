import { orAborted } from '../lib/abort.ts'
import { Cache } from '../lib/cache/cache.ts'
import type { Versioned } from '../lib/cache/cache-options.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import type { Clock } from '../lib/clock.ts'
import { isFailure } from '../lib/errors.ts'
import { TicketKeys } from '../lib/http/tls/ticket-keys.ts'
import type { Channel, Other } from '../lib/threads/channel.ts'
import { type Credential, Credentials } from '../lib/tls/credentials.ts'
import type { Node } from '../model/app.ts'
import type { Hostname } from '../model/hostname.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import { MASTER_CALL_WITHIN, NODE_BACK_WITHIN, ROUTE_STALE_AFTER } from '../model/intervals.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { isSameRoute, type Route } from '../model/route.ts'
import type { OrderedCertificates } from './acme/front-certificates.ts'
import type { DemandListener, Refused } from './fleet/demand.ts'
import type { FrontParts } from './front-parts.ts'
import { type KnownNode, networksOf } from './nodes.ts'
import { type AppTargets, NO_TARGETS, type Targets } from './scaling/targets.ts'

/** The methods that the main thread of a front, which has the truth, offers to its workers. */
export type FrontMethods = {
  resolve(
    hostname: Hostname,
    cancellation: Cancellation,
  ): Promise<{ readonly app: Route; readonly pin: NodeName | undefined }>
  pin(input: { readonly instance: InstanceId; readonly node: NodeName }): void
  failed(node: NodeName): void
  refresh(input: null): Promise<void>
  /** For these, see `Targets`. */
  used(route: Route): void
  held(app: AppName): void
  doubt(app: AppName): void
  refused(app: Refused): void
  met(app: AppName): void
  /** For these, see `OrderedCertificates`. */
  want(servername: string): Promise<boolean>
  challenge(token: string): Promise<string | undefined>
}

/** The methods that a worker offers to the main thread. */
export type ReplicaMethods = {
  /** The route of this hostname has changed or is gone. */
  changed(hostname: Hostname): void
  /** Any route may have changed: the worker asks before it serves again. */
  doubtful(input: null): void
  pinned(input: { readonly instance: InstanceId; readonly node: NodeName }): void
  nodes(all: readonly KnownNode[]): void
  /** The node answers nothing: see `Nodes.onSilent`. */
  silent(node: Node): void
  ticketKeys(keys: Uint8Array): void
  /** The folder of the ordered certificates has changed. */
  certificates(input: null): void
  /** The instances of an app that may get requests. */
  targets(of: AppTargets & { readonly app: AppName }): void
  /** What this front shows to nodes, in a cluster. */
  credential(now: Credential | undefined): void
}

type Options = {
  readonly channel: Channel
  readonly nodes: readonly KnownNode[]
  /** Of TLS tickets. */
  readonly keys?: Uint8Array
  readonly credential?: Credential | undefined
  readonly clock: Clock
}

const MOST_ROUTES = 100_000
const MOST_REFUSED = 1_000

/** A worker's copy of the routes, pins and nodes of the main thread. The main thread notifies the worker of changes; the worker asks for routes that it does not know. */
export class Replica {
  readonly routes: FrontParts['routes'] = { resolve: (hostname, cancellation) => this.#resolve(hostname, cancellation) }
  readonly pins: FrontParts['pins']
  readonly nodes: FrontParts['nodes']
  readonly targets: Targets
  /** Tells the main thread of what this worker hears. It remembers which apps were refused here, so that it tells of them only. */
  readonly demand: DemandListener
  readonly certificates: OrderedCertificates
  readonly ticketKeys: TicketKeys
  readonly credentials: Credentials | undefined
  readonly #main: Other<FrontMethods>
  readonly #clock: Clock
  // The main thread notifies of each change, so its answers are fresh until it does.
  readonly #freshness = { isFresh: true, term: 0 }
  readonly #routes: Cache<Hostname, Route>
  readonly #pins = new Map<InstanceId, NodeName>()
  readonly #targets = new Map<AppName, AppTargets>()
  #nodes = new Map<NodeName, KnownNode>()
  #appNetworks: readonly string[] = []

  constructor({ channel, nodes, keys, credential, clock }: Options) {
    this.#main = channel.other<FrontMethods>()
    this.#clock = clock
    this.#routes = new Cache({
      fetch: hostname => this.#fetch(hostname),
      failed: (error, _hostname, isFirst) =>
        isFailure(error, 'host-unknown') ? 'gone' : isFirst ? 'refused' : 'serve',
      freshness: this.#freshness,
      clock,
      waitMs: MASTER_CALL_WITHIN,
      staleAfterMs: ROUTE_STALE_AFTER,
      most: MOST_ROUTES,
      // Request handlers remember what they make of a route by its object.
      isSame: isSameRoute,
    })
    this.demand = this.#demandListener()
    this.#take(nodes)
    this.ticketKeys = new TicketKeys(keys)
    this.credentials = credential && new Credentials(credential)
    const silentListeners: ((node: Node) => void)[] = []
    const onTargets: ((app: AppName) => void)[] = []
    this.targets = {
      of: app => this.#targets.get(app) ?? NO_TARGETS,
      used: route => this.#main.notify('used', route),
      held: app => this.#main.notify('held', app),
      doubt: app => this.#main.notify('doubt', app),
      onChange: listener => void onTargets.push(listener),
    }
    const onCertificates: (() => void)[] = []
    this.certificates = {
      want: servername => this.#main.call('want', servername),
      challenge: token => this.#main.call('challenge', token),
      onChange: listener => void onCertificates.push(listener),
    }
    channel.serve<ReplicaMethods>({
      certificates: () => {
        for (const listener of onCertificates) listener()
      },
      targets: ({ app, ...targets }) => {
        if (targets.targets.length > 0 || targets.problem !== undefined) this.#targets.set(app, targets)
        else this.#targets.delete(app)
        for (const listener of onTargets) listener(app)
      },
      changed: hostname => this.#routes.doubt(hostname),
      doubtful: () => void this.#freshness.term++,
      pinned: ({ instance, node }) => void this.#pins.set(instance, node),
      nodes: all => this.#take(all),
      silent: node => {
        for (const listener of silentListeners) listener(node)
      },
      ticketKeys: given => this.ticketKeys.replace(given),
      credential: now => {
        if (now !== undefined && now.certificate !== this.credentials?.current.certificate)
          this.credentials?.replace(now)
      },
    })
    this.pins = {
      get: instance => this.#pins.get(instance),
      set: (instance, node) => {
        if (this.#pins.get(instance) === node) return
        this.#pins.set(instance, node)
        this.#main.notify('pin', { instance, node })
      },
    }
    const known = (): readonly KnownNode[] => [...this.#nodes.values()]
    const networks = (): readonly string[] => this.#appNetworks
    this.nodes = {
      get all() {
        return known()
      },
      get appNetworks() {
        return networks()
      },
      get: name => this.#nodes.get(name),
      failed: name => this.#failed(name),
      mayComeBack: name => {
        const lostAt = this.#nodes.get(name)?.lostAt
        return lostAt !== undefined && clock.now() - lostAt < NODE_BACK_WITHIN
      },
      refresh: () => this.#main.call('refresh', null),
      onSilent: listener => void silentListeners.push(listener),
    }
  }

  #demandListener(): DemandListener {
    const refused = new Set<AppName>()
    return {
      get isAny() {
        return refused.size > 0
      },
      refused: app => {
        if (refused.size < MOST_REFUSED) refused.add(app.app)
        this.#main.notify('refused', app)
      },
      met: app => {
        if (refused.delete(app)) this.#main.notify('met', app)
      },
    }
  }

  #resolve(hostname: Hostname, cancellation: Cancellation): Route | Promise<Route> {
    const route = this.#routes.get(hostname)
    return route instanceof Promise ? orAborted(route, cancellation.signal) : route
  }

  async #fetch(hostname: Hostname): Promise<Versioned<Route>> {
    const { app, pin } = await this.#main.call('resolve', hostname)
    const instance = instanceId(app.name)
    if (pin !== undefined && !this.#pins.has(instance)) this.#pins.set(instance, pin)
    return { value: app, version: null }
  }

  #take(all: readonly KnownNode[]): void {
    this.#nodes = new Map(all.map(known => [known.node.name, known]))
    this.#appNetworks = networksOf(all)
  }

  #failed(name: NodeName): void {
    const known = this.#nodes.get(name)
    if (known === undefined) return
    this.#nodes.set(name, { ...known, healthy: false, lostAt: known.lostAt ?? this.#clock.now() })
    this.#main.notify('failed', name)
  }
}
