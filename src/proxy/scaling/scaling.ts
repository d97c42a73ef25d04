import type { MasterClient } from '../../api/client.ts'
import { pause, resolvesWithin } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure, type ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Gauges } from '../../lib/shared/gauges.ts'
import { appOf } from '../../model/instance-id.ts'
import { KEPT_LISTED_EVERY, LOADS_READ_EVERY, SCALE_DECIDED_EVERY } from '../../model/intervals.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import type { Route } from '../../model/route.ts'
import type { LocalStore } from '../local-store.ts'
import type { InstanceOnNode, NodeConnector } from '../node-connector.ts'
import type { Nodes } from '../nodes.ts'
import type { Pins } from '../pins.ts'
import { KeptApps } from './kept-apps.ts'
import { Loads } from './loads.ts'
import { ScaledApp } from './scaled-app.ts'
import { Starts } from './starts.ts'
import { type AppTargets, NO_TARGETS, type Targets } from './targets.ts'

type Options = {
  readonly master: MasterClient
  readonly store: LocalStore
  readonly nodes: Nodes
  readonly pins: Pins
  readonly connector: Pick<NodeConnector, 'keep' | 'loads'>
  readonly gauges: Gauges
  /** Called with each list of apps that fronts have to know before a request comes. */
  readonly onListed?: ((routes: readonly Route[]) => void) | undefined
  readonly clock: Clock
  readonly log: Log
}

/** An app is looked at for so long after its last request: longer than the number of its instances takes to fall. */
const USED_FOR_MS = 60_000
/** A node that is slow to tell its load does not keep other nodes' instances from being started. */
const LOADS_WAITED_FOR_MS = 300
const LOADS_READ_AT_MOST_EVERY = 250

/**
 * Decides how many instances the apps have, by what this front sees and what the nodes tell. Fronts do not talk to each other: they agree since
 * they number instances alike, place them by the same pure function, and see the same awake instances with the requests of all fronts.
 * An instance is put to sleep by its node, when no front sends requests to it any more.
 */
export class Scaling implements Targets {
  readonly #options: Options
  readonly #apps = new Map<AppName, ScaledApp>()
  readonly #loads: Loads
  readonly #kept: KeptApps
  readonly #listeners: ((app: AppName) => void)[] = []
  #pause = new AbortController()
  #readAt = Number.NEGATIVE_INFINITY
  #mustRead = false

  constructor(options: Options) {
    const { connector, gauges, clock } = options
    this.#options = options
    this.#loads = new Loads({ connector, gauges, clock })
    this.#kept = new KeptApps({
      ...options,
      onList: () => {
        options.onListed?.(this.#kept.listed)
        this.#soon()
      },
    })
  }

  of(app: AppName): AppTargets {
    return this.#apps.get(app)?.last ?? NO_TARGETS
  }

  used(route: Route): void {
    const isNew = !this.#apps.has(route.name)
    const app = this.#appOf(route)
    app.route = route
    app.usedAt = this.#options.clock.now()
    if (isNew) this.#soon()
    else this.#tell(route.name) // a thread that has just started knows no targets
  }

  held(): void {
    this.#soon()
  }

  doubt(): void {
    this.#mustRead = true
    this.#soon()
  }

  onChange(listener: (app: AppName) => void): void {
    this.#listeners.push(listener)
  }

  /** The master says that an app has changed. */
  changed(): void {
    this.#kept.changed()
    this.#soon()
  }

  /** Decides again and again, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, onListed } = this.#options
    if (this.#kept.listed.length > 0) onListed?.(this.#kept.listed)
    while (!signal.aborted) {
      this.#pause = new AbortController()
      await this.#look()
      const everyMs = this.#apps.size > 0 || this.#kept.isOld ? SCALE_DECIDED_EVERY : KEPT_LISTED_EVERY
      await pause(clock, everyMs, AbortSignal.any([signal, this.#pause.signal])).catch(() => undefined) // the loop's head ends it
    }
    for (const app of this.#apps.values()) app.end()
  }

  async #look(): Promise<void> {
    const { clock } = this.#options
    this.#kept.refresh()
    for (const app of this.#apps.values()) app.isKept = false
    for (const route of this.#kept.all) {
      const app = this.#appOf(route)
      app.isKept = true
      if (Date.parse(route.updatedAt) > Date.parse(app.route.updatedAt)) app.route = route
    }
    const now = clock.now()
    for (const [name, app] of this.#apps)
      if (!app.isKept && !app.inUse && now - app.usedAt >= USED_FOR_MS) this.#forget(name, app)
    if (this.#apps.size === 0) return
    await this.#read()
    for (const [name, app] of this.#apps) {
      const before = app.last
      if (!isSame(before, app.look())) this.#tell(name)
    }
  }

  async #read(): Promise<void> {
    const { nodes, clock } = this.#options
    const isUrgent = this.#mustRead || [...this.#apps.values()].some(({ isShort }) => isShort)
    if (clock.now() - this.#readAt < (isUrgent ? LOADS_READ_AT_MOST_EVERY : LOADS_READ_EVERY)) return
    this.#mustRead = false
    this.#readAt = clock.now()
    const healthy = nodes.all.filter(one => one.healthy).map(({ node }) => node)
    await resolvesWithin(this.#loads.read(healthy), clock, LOADS_WAITED_FOR_MS)
  }

  #appOf(route: Route): ScaledApp {
    let app = this.#apps.get(route.name)
    if (app === undefined) {
      const { connector, nodes, pins, gauges, clock, log } = this.#options
      const starts = new Starts({ connector, clock, log, onEnd: (on, problem) => this.#ended(on, problem) })
      app = new ScaledApp(route, { nodes, pins, loads: this.#loads, gauges, starts, clock })
      this.#apps.set(route.name, app)
    }
    return app
  }

  /** A start has ended. */
  #ended({ instance, node }: InstanceOnNode, problem: ShadowError | undefined): void {
    if (problem === undefined) this.#loads.add(instance, node.name)
    else if (isFailure(problem, 'volume-elsewhere')) {
      const home = String(problem.details.facts?.['node'] ?? '') as NodeName
      if (this.#options.nodes.get(home)?.healthy) this.#options.pins.set(instance, home)
    }
    if (this.#apps.has(appOf(instance))) this.#soon()
  }

  #forget(name: AppName, app: ScaledApp): void {
    app.end()
    this.#apps.delete(name)
    this.#tell(name)
  }

  #tell(app: AppName): void {
    for (const listener of this.#listeners) listener(app)
  }

  #soon(): void {
    this.#pause.abort()
  }
}

const isSame = (one: AppTargets, other: AppTargets): boolean =>
  one.problem === other.problem &&
  one.targets.length === other.targets.length &&
  one.targets.every(({ instance, node, others, formers }, at) => {
    const target = other.targets[at]
    return (
      target?.instance === instance &&
      target.node === node &&
      target.others === others &&
      String(target.formers) === String(formers)
    )
  })
