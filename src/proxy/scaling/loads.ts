import type { Clock } from '../../lib/clock.ts'
import type { Gauges } from '../../lib/shared/gauges.ts'
import type { Node } from '../../model/app.ts'
import type { InstanceLoad } from '../../model/instance.ts'
import { appOf, type InstanceId } from '../../model/instance-id.ts'
import { NODE_CHECK_WITHIN } from '../../model/intervals.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { outweighs, rendezvous } from '../../model/rendezvous.ts'
import type { NodeConnector } from '../node-connector.ts'
import { gaugeOf } from './targets.ts'

type Options = {
  readonly connector: Pick<NodeConnector, 'loads'>
  readonly gauges: Gauges
  readonly clock: Clock
}

/** An awake instance, as its node told it last. */
export type Known = {
  readonly instance: InstanceId
  readonly node: NodeName
  /** Requests of other fronts that it has in flight. */
  readonly others: number
  readonly cpu: number | undefined
  /** The revisions of earlier releases that keep their sessions there. */
  readonly formers?: readonly number[] | undefined
  /** When it was known to be awake, by the clock. */
  readonly at: number
}

/** The awake instances of all nodes. Nodes tell fronts: so a front learns what the others have started, and what they send. */
export class Loads {
  readonly #options: Options
  readonly #ofNodes = new Map<NodeName, readonly Known[]>()
  #byApp: ReadonlyMap<AppName, readonly Known[]> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Asks these nodes. What was known of one that does not answer stands, since its health is checked elsewhere. */
  async read(nodes: readonly Node[]): Promise<void> {
    const names = new Set(nodes.map(({ name }) => name))
    for (const name of this.#ofNodes.keys()) if (!names.has(name)) this.#ofNodes.delete(name)
    await Promise.all(nodes.map(node => this.#readFrom(node)))
    this.#byApp = undefined
  }

  /** The instance has just become ready. */
  add(instance: InstanceId, node: NodeName): void {
    const known = { instance, node, others: 0, cpu: undefined, at: this.#options.clock.now() }
    const before = (this.#ofNodes.get(node) ?? []).filter(one => one.instance !== instance)
    this.#ofNodes.set(node, [...before, known])
    this.#byApp = undefined
  }

  of(app: AppName): readonly Known[] {
    this.#byApp ??= Map.groupBy([...this.#ofNodes.values()].flat(), ({ instance }) => appOf(instance))
    return this.#byApp.get(app) ?? []
  }

  async #readFrom(node: Node): Promise<void> {
    const { connector, gauges, clock } = this.#options
    const from = clock.now()
    const items = await connector.loads(node, AbortSignal.timeout(NODE_CHECK_WITHIN)).catch(() => undefined) // see the doc of `read`
    if (items === undefined) return
    const at = clock.now()
    const known = items.map(({ instance, inFlight, cpu, formers }: InstanceLoad): Known => {
      const own = gauges.of(gaugeOf.instance(instance, node.name)).used
      return { instance, node: node.name, others: Math.max(0, inFlight - own), cpu, formers, at }
    })
    // The node may have answered before an instance became ready of which we know already.
    const newer = (this.#ofNodes.get(node.name) ?? []).filter(
      one => one.at >= from && !items.some(({ instance }) => instance === one.instance),
    )
    this.#ofNodes.set(node.name, [...known, ...newer])
  }
}

/**
 * Of each instance the one that gets the requests. One that is awake on two nodes, since two fronts chose differently, gets them on the node
 * with the greatest weight: all fronts choose the same, and the other one falls asleep.
 */
export function onePerInstance(awake: readonly Known[]): ReadonlyMap<InstanceId, Known> {
  const chosen = new Map<InstanceId, Known>()
  for (const one of awake) {
    const other = chosen.get(one.instance)
    if (other === undefined || outweighs(weighed(one), weighed(other))) chosen.set(one.instance, one)
  }
  return chosen
}

const weighed = ({ instance, node }: Known) => ({ name: node, weight: rendezvous(instance, node) })
