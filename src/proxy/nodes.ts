import { z } from 'zod'
import type { MasterClient } from '../api/client.ts'
import { NodeSchema } from '../api/node-schemas.ts'
import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Node } from '../model/app.ts'
import {
  FRONT_CHECKS_NODES_EVERY,
  NODE_ANNOUNCES_EVERY,
  NODE_BACK_WITHIN,
  NODE_CHECK_WITHIN,
  NODE_LOST_AFTER,
} from '../model/intervals.ts'
import type { NodeName } from '../model/names.ts'
import { servesApps } from '../model/node-state.ts'
import type { Candidate } from '../model/placement.ts'
import type { LocalStore } from './local-store.ts'
import type { NodeConnector, NodeHealth } from './node-connector.ts'

type Options = {
  readonly master: MasterClient
  readonly store: LocalStore
  readonly connector: NodeConnector
  readonly clock: Clock
  readonly log: Log
  /** Called when the result of `all` may have changed. */
  readonly onChange?: () => void
}
type Entry = {
  node: Node
  healthy: boolean
  overloaded: boolean
  lostAt: number | undefined
  /** Since when it answers no check; undefined while it does. */
  silentSince: number | undefined
  appNetworks: readonly string[]
}
/** `lostAt`: when the node went away, by `now` of the clock, which all threads share; undefined while it is there. */
export type KnownNode = Candidate<Node> & {
  readonly lostAt: number | undefined
  readonly appNetworks: readonly string[]
}

const STORE_KEY = 'nodes'
const Kept = z.array(NodeSchema)

/** The nodes of the cluster. The master lists them, this front checks them, and the store keeps them for a start without a master. */
export class Nodes {
  readonly #options: Options
  readonly #entries = new Map<NodeName, Entry>()
  readonly #silentListeners: ((node: Node) => void)[] = []
  #refreshing: Promise<void> | undefined
  #appNetworks: readonly string[] = []

  constructor(options: Options) {
    this.#options = options
    const kept = Kept.safeParse(options.store.get(STORE_KEY))
    if (kept.success) for (const node of kept.data) this.#entries.set(node.name, newEntry(node))
  }

  get all(): readonly KnownNode[] {
    return [...this.#entries.values()]
  }

  /** The networks of the apps of all nodes. The object stays the same as long as the networks do. */
  get appNetworks(): readonly string[] {
    return this.#appNetworks
  }

  get(name: NodeName): Candidate<Node> | undefined {
    return this.#entries.get(name)
  }

  /** Records that the node did not take a connection: it gets no requests until it answers a check. */
  failed(name: NodeName): void {
    this.#record(name, undefined)
  }

  /** Whether the node went away within NODE_BACK_WITHIN, so that it may be restarting. */
  mayComeBack(name: NodeName): boolean {
    const lostAt = this.#entries.get(name)?.lostAt
    return lostAt !== undefined && this.#options.clock.now() - lostAt < NODE_BACK_WITHIN
  }

  /** Calls back with each node that has answered nothing for NODE_LOST_AFTER, again at each check. Requests that it has may wait for ever. */
  onSilent(listener: (node: Node) => void): void {
    this.#silentListeners.push(listener)
  }

  /** Asks the master for its list. If it does not answer, the last list stands. Callers at the same time share one call. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  /** Lists and checks the nodes until the signal aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    let listedAt = Number.NEGATIVE_INFINITY
    while (!signal.aborted) {
      if (clock.now() - listedAt >= NODE_ANNOUNCES_EVERY) {
        await this.refresh()
        listedAt = clock.now()
      }
      await Promise.all([...this.#entries.values()].map(({ node }) => this.#check(node)))
      await pause(clock, FRONT_CHECKS_NODES_EVERY, signal).catch(() => undefined) // the loop's head ends it
    }
  }

  async #refresh(): Promise<void> {
    const { master, store, log } = this.#options
    try {
      const { items } = await master.call('listNodes', {})
      for (const node of items) {
        const entry = this.#entries.get(node.name)
        if (entry === undefined) this.#entries.set(node.name, newEntry(node))
        else entry.node = node // the list does not say how the node answers: this front checks that itself
      }
      const listed = new Set(items.map(node => node.name))
      for (const name of this.#entries.keys()) if (!listed.has(name)) this.#entries.delete(name)
      store.set(STORE_KEY, items)
      this.#options.onChange?.()
    } catch (error) {
      log.debug('nodes not listed', { code: asShadowError(error).code, cause: error })
    }
  }

  async #check(node: Node): Promise<void> {
    const health = await this.#options.connector
      .check(node, AbortSignal.timeout(NODE_CHECK_WITHIN))
      .catch(() => undefined) // a node that does not answer is unhealthy
    this.#record(node.name, health)
    const { silentSince } = this.#entries.get(node.name) ?? {}
    if (silentSince === undefined || this.#options.clock.now() - silentSince < NODE_LOST_AFTER) return
    for (const listener of this.#silentListeners) listener(node)
  }

  #record(name: NodeName, health: NodeHealth | undefined): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    const healthy = health !== undefined && !health.overall
    entry.silentSince = health === undefined ? (entry.silentSince ?? this.#options.clock.now()) : undefined
    if (healthy !== entry.healthy)
      this.#options.log.warn(healthy ? 'node healthy' : 'node unhealthy', { node: name, answers: health !== undefined })
    if (healthy) entry.lostAt = undefined
    else if (entry.healthy) entry.lostAt = this.#options.clock.now()
    const overloaded = health?.overloaded ?? entry.overloaded
    const appNetworks = health?.app_networks ?? entry.appNetworks
    const isMoved = appNetworks.join() !== entry.appNetworks.join()
    const changed = entry.healthy !== healthy || entry.overloaded !== overloaded || isMoved
    Object.assign(entry, { healthy, overloaded, appNetworks })
    if (isMoved) this.#appNetworks = networksOf(this.all)
    if (changed) this.#options.onChange?.()
  }
}

// As the masters see it until a check or a request fails, so that a front serves at once after its start.
const newEntry = (node: Node): Entry => ({
  node,
  healthy: servesApps(node.state),
  overloaded: false,
  lostAt: undefined,
  silentSince: undefined,
  appNetworks: [],
})

/** The networks of the apps of these nodes. */
export const networksOf = (nodes: readonly KnownNode[]): readonly string[] => [
  ...new Set(nodes.flatMap(({ appNetworks }) => appNetworks)),
]
