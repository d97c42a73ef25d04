import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Gauge, Gauges } from '../../lib/shared/gauges.ts'
import type { Node } from '../../model/app.ts'
import { type InstanceId, instanceId } from '../../model/instance-id.ts'
import type { NodeName } from '../../model/names.ts'
import { type Candidate, place, sayRejected } from '../../model/placement.ts'
import type { Route } from '../../model/route.ts'
import { numbered, SCALE_DEFAULTS, type Scale } from '../../model/scale.ts'
import { usablePinned } from '../node-choice.ts'
import type { Nodes } from '../nodes.ts'
import type { Pins } from '../pins.ts'
import { Demand, type Wanted } from './demand.ts'
import { type Known, type Loads, onePerInstance } from './loads.ts'
import type { Starts } from './starts.ts'
import { type AppTargets, gaugeOf } from './targets.ts'

type Parts = {
  readonly nodes: Pick<Nodes, 'all' | 'get'>
  readonly pins: Pick<Pins, 'get'>
  readonly loads: Loads
  readonly gauges: Gauges
  readonly starts: Starts
  readonly clock: Clock
}

/** How many instances one app has: this front looks at its load again and again, starts what is missing, and says which ones get requests. */
export class ScaledApp {
  route: Route
  /** Whether the master lists it among the apps of which instances are kept awake. */
  isKept = false
  /** When a request for it came last, by the clock. */
  usedAt = Number.NEGATIVE_INFINITY
  /** The result of the last look. */
  last: AppTargets = { targets: [] }
  readonly #parts: Parts
  readonly #demand = new Demand()
  readonly #inFlight: Gauge
  readonly #held: Gauge
  #isShort = false

  constructor(route: Route, parts: Parts) {
    this.route = route
    this.#parts = parts
    this.#inFlight = parts.gauges.of(gaugeOf.app(route.name))
    this.#held = parts.gauges.of(gaugeOf.held(route.name))
  }

  get inUse(): boolean {
    return this.#inFlight.used + this.#held.used > 0
  }

  /** Whether instances are missing, so that the nodes should be asked more often. */
  get isShort(): boolean {
    return this.#isShort
  }

  /** Looks at the load, starts and keeps instances; returns the instances that may get requests now. */
  look(): AppTargets {
    const { nodes, loads, starts, clock } = this.#parts
    const takes = (name: NodeName): boolean => isUsable(nodes.get(name))
    starts.leave(takes)
    const scale = this.#scale
    const awake = loads.of(this.route.name).filter(({ node }) => takes(node))
    const ready = this.#ready(scale, awake)
    const cpus = ready.flatMap(({ cpu }) => cpu ?? [])
    const load = {
      inFlight: this.#inFlight.used + awake.reduce((sum, { others }) => sum + others, 0),
      held: this.#held.used,
      ready: ready.length,
      cpu: cpus.length === 0 ? undefined : cpus.reduce((sum, cpu) => sum + cpu, 0) / cpus.length,
    }
    const wanted = this.#demand.next(scale, load, clock.now())
    const missing = this.#startMissing(scale, wanted, ready)
    this.#keep(scale, ready)
    this.#isShort = missing > 0
    const targets = ready
      .slice(0, wanted.count)
      .map(({ instance, node, others, formers }) => ({ instance, node, others, ...(formers && { formers }) }))
    const problem = missing > 0 ? starts.problem?.message : undefined
    this.last = { targets, ...(problem !== undefined && { problem }) }
    return this.last
  }

  /** This front looks at it no more. */
  end(): void {
    this.#parts.starts.end()
  }

  /** Only the master's list says that instances are kept awake: a route may be older. */
  get #scale(): Scale {
    const scale = this.route.scale ?? SCALE_DEFAULTS
    return this.isKept ? scale : { ...scale, min: 0 }
  }

  /** The instances that are ready, by their numbers. */
  #ready({ max }: Scale, awake: readonly Known[]): readonly Known[] {
    const byId = onePerInstance(awake)
    const numbers = Math.min(max, highestOf(byId.keys()))
    return Array.from({ length: numbers }, (_, at) => byId.get(numbered(this.route.name, at + 1)) ?? []).flat()
  }

  /** Starts instances that are missing; returns how many are. */
  #startMissing({ min }: Scale, { needed, why }: Wanted, ready: readonly Known[]): number {
    // A single instance that nobody keeps awake is woken by its request, on the node of the pin.
    if (needed === 0 || (needed === 1 && min === 0)) return needed > ready.length ? 1 : 0
    const { starts } = this.#parts
    const { name } = this.route
    const isReady = new Set(ready.map(({ instance }) => instance))
    let left = needed - ready.length - starts.underWay.size
    for (let number = 1; number <= needed; number++) {
      const instance = numbered(name, number)
      if (isReady.has(instance) || !starts.mayStart(instance)) continue
      if (left <= 0 && number > min) continue
      left--
      this.#start(instance, ready, number <= min ? KEPT(min) : why)
    }
    return Math.max(0, needed - ready.length)
  }

  #start(instance: InstanceId, ready: readonly Known[], why: string): void {
    const { starts } = this.#parts
    const node = this.#nodeFor(instance, ready)
    if (node instanceof ShadowError) starts.failed(instance, node)
    else starts.start(this.route, { instance, node }, `the load: ${why}`)
  }

  #nodeFor(instance: InstanceId, ready: readonly Known[]): Node | ShadowError {
    const { nodes, starts } = this.#parts
    const { name, needs } = this.route
    const without = starts.refusing
    const isPlain = instance === instanceId(name)
    // The node where requests wake it, too.
    const pinned = isPlain ? usablePinned(this.#parts, this.route) : undefined
    if (pinned !== undefined && !without.has(pinned.name)) return pinned
    const others = [...ready, ...starts.underWay.values()].map(({ node }) => node)
    const replicas = new Map(others.map(node => [node, others.filter(other => other === node).length]))
    const { node, rejected } = place(instance, needs, nodes.all, { without, ...(!isPlain && { replicas }) })
    return node ?? new ShadowError('no-node', `no node can take ${instance}: ${sayRejected(rejected)}`)
  }

  #keep({ min }: Scale, ready: readonly Known[]): void {
    const { nodes, starts } = this.#parts
    for (let number = 1; number <= min; number++) {
      const known = ready.find(({ instance }) => instance === numbered(this.route.name, number))
      const node = known && nodes.get(known.node)?.node
      if (node !== undefined) starts.keep(this.route, { instance: known?.instance as InstanceId, node }, KEPT(min))
    }
  }
}

const KEPT = (min: number): string => `at least ${min} kept awake (--min)`

const isUsable = (known: Candidate<Node> | undefined): boolean =>
  known?.healthy === true && known.node.cordon?.drain === undefined

const highestOf = (ids: Iterable<InstanceId>): number => {
  let highest = 0
  for (const id of ids) highest = Math.max(highest, Number(id.slice(id.indexOf('.') + 1)) || 1)
  return highest
}
