import { orAborted } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { TicketKeys } from '../lib/http/tls/ticket-keys.ts'
import type { Leaver } from '../lib/leaver.ts'
import type { Line, Other } from '../lib/threads/line.ts'
import type { Hostname } from '../model/hostname.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import { NODE_BACK_WITHIN, ROUTE_STALE_AFTER } from '../model/intervals.ts'
import type { NodeName } from '../model/names.ts'
import { isSameRoute, type Route } from '../model/route.ts'
import type { FrontParts } from './front-parts.ts'
import { type KnownNode, networksOf } from './nodes.ts'

/** What a worker of a front asks of its main thread, which keeps the truth. */
export type FrontMethods = {
  resolve(hostname: Hostname, leaver: Leaver): Promise<{ readonly app: Route; readonly pin: NodeName | undefined }>
  pin(input: { readonly instance: InstanceId; readonly node: NodeName }): void
  failed(node: NodeName): void
  refresh(input: null): Promise<void>
}

/** What that thread tells its workers. */
export type ReplicaMethods = {
  /** The app of this hostname is another, or none; undefined: any may be, and is asked for behind its next request. */
  changed(hostname: Hostname | undefined): void
  /** Any route may be another, and is asked for before it serves again. */
  doubtful(input: null): void
  pinned(input: { readonly instance: InstanceId; readonly node: NodeName }): void
  nodes(all: readonly KnownNode[]): void
  ticketKeys(keys: Uint8Array): void
}

type Entry = { readonly app: Route; checkedAt: number; isDoubted: boolean }
type Asking = { readonly answer: Promise<Route>; isOutdated: boolean }
type Options = {
  readonly line: Line
  readonly nodes: readonly KnownNode[]
  /** Of TLS tickets. */
  readonly keys?: Uint8Array
  readonly clock: Clock
}

const MOST_ROUTES = 100_000

/** What a worker knows of what the main thread knows: it is told of changes, and asks for what is new to it. */
export class Replica {
  readonly routes: FrontParts['routes'] = { resolve: (hostname, leaver) => this.#resolve(hostname, leaver) }
  readonly pins: FrontParts['pins']
  readonly nodes: FrontParts['nodes']
  readonly ticketKeys: TicketKeys
  readonly #main: Other<FrontMethods>
  readonly #clock: Clock
  readonly #routes = new Map<Hostname, Entry>()
  readonly #asking = new Map<Hostname, Asking>()
  readonly #pins = new Map<InstanceId, NodeName>()
  #nodes = new Map<NodeName, KnownNode>()
  #appNetworks: readonly string[] = []

  constructor({ line, nodes, keys, clock }: Options) {
    this.#main = line.other<FrontMethods>()
    this.#clock = clock
    this.#take(nodes)
    this.ticketKeys = new TicketKeys(keys)
    line.serve<ReplicaMethods>({
      changed: hostname => this.#changed(hostname),
      doubtful: () => {
        for (const route of this.#routes.values()) route.isDoubted = true
      },
      pinned: ({ instance, node }) => void this.#pins.set(instance, node),
      nodes: all => this.#take(all),
      ticketKeys: given => this.ticketKeys.replace(given),
    })
    this.pins = {
      get: instance => this.#pins.get(instance),
      set: (instance, node) => {
        if (this.#pins.get(instance) === node) return
        this.#pins.set(instance, node)
        this.#main.tell('pin', { instance, node })
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
    }
  }

  /** As the routes of the main thread: a known one at once, and asked for behind its back when it is old. */
  #resolve(hostname: Hostname, leaver: Leaver): Route | Promise<Route> {
    const route = this.#routes.get(hostname)
    if (route === undefined || route.isDoubted) return orAborted(this.#ask(hostname), leaver.signal)
    const now = this.#clock.now()
    if (now - route.checkedAt >= ROUTE_STALE_AFTER) {
      route.checkedAt = now
      this.#ask(hostname).catch(() => undefined) // the main thread tells when there is no such route any more
    }
    return route.app
  }

  #ask(hostname: Hostname): Promise<Route> {
    const before = this.#asking.get(hostname)
    if (before !== undefined && !before.isOutdated) return before.answer
    const asking: Asking = {
      answer: this.#main
        .call('resolve', hostname)
        .then(({ app, pin }) => {
          const instance = instanceId(app.name)
          if (pin !== undefined && !this.#pins.has(instance)) this.#pins.set(instance, pin)
          return asking.isOutdated ? app : this.#keep(hostname, app)
        })
        .finally(() => {
          if (this.#asking.get(hostname) === asking) this.#asking.delete(hostname)
        }),
      isOutdated: false,
    }
    this.#asking.set(hostname, asking)
    return asking.answer
  }

  /** Keeps the same object for the same app: forwarders remember what they make of it. */
  #keep(hostname: Hostname, app: Route): Route {
    const before = this.#routes.get(hostname)?.app
    const kept = before !== undefined && isSameRoute(before, app) ? before : app
    const oldest = this.#routes.size >= MOST_ROUTES ? this.#routes.keys().next().value : undefined
    if (oldest !== undefined) this.#routes.delete(oldest)
    this.#routes.set(hostname, { app: kept, checkedAt: this.#clock.now(), isDoubted: false })
    return kept
  }

  #changed(hostname: Hostname | undefined): void {
    if (hostname === undefined) {
      for (const route of this.#routes.values()) route.checkedAt = Number.NEGATIVE_INFINITY
      return
    }
    this.#routes.delete(hostname)
    const asking = this.#asking.get(hostname)
    if (asking !== undefined) asking.isOutdated = true
  }

  #take(all: readonly KnownNode[]): void {
    this.#nodes = new Map(all.map(known => [known.node.name, known]))
    this.#appNetworks = networksOf(all)
  }

  #failed(name: NodeName): void {
    const known = this.#nodes.get(name)
    if (known === undefined) return
    this.#nodes.set(name, { ...known, healthy: false, lostAt: known.lostAt ?? this.#clock.now() })
    this.#main.tell('failed', name)
  }
}
