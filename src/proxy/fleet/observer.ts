import type { Clock } from '../../lib/clock.ts'
import type { ServerRecord, ServerShape, Wanted } from '../../model/fleet.ts'
import type { NodeName } from '../../model/names.ts'
import type { Offer, Server } from './fleet.ts'
import { observed } from './phases.ts'
import { spareServers } from './spare.ts'
import type { NodeView, ServerView, Terms, World } from './world.ts'

/** What a front that leads has found at one time. */
export type Found = {
  /** The time by the masters, in milliseconds since 1970. */
  readonly now: number
  readonly epoch: number
  readonly records: readonly ServerRecord[]
  readonly machines: readonly Server[]
  readonly nodes: readonly NodeView[]
  readonly wanted: readonly Wanted[]
  readonly offers: readonly Offer[]
  readonly shape: ServerShape | undefined
  readonly buysFrom: number
}

/** An offer without capacity is not tried again for so long. */
const FULL_FOR_MS = 5 * 60_000
/** A server that cannot be given up, since volumes are on its disk, is not looked at again for so long. */
const KEPT_FOR_MS = 10 * 60_000

/** Remembers since when things are as they are: the rules go by that. All of it is measured anew by the next front that leads. */
export class Observer {
  readonly #clock: Clock
  readonly #missing = new Map<NodeName, number>()
  readonly #spare = new Map<NodeName, number>()
  readonly #kept = new Map<NodeName, { readonly until: number; readonly why: string }>()
  readonly #full = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Another front has led meanwhile. */
  forget(): void {
    for (const memory of [this.#missing, this.#spare, this.#kept, this.#full]) memory.clear()
  }

  isFull(offer: string): void {
    this.#full.set(offer, this.#clock.now() + FULL_FOR_MS)
  }

  isKept(node: NodeName, why: string): void {
    this.#kept.set(node, { until: this.#clock.now() + KEPT_FOR_MS, why })
  }

  /** Why the server is not given up; undefined if it may be. */
  whyKept(node: NodeName): string | undefined {
    const kept = this.#kept.get(node)
    return kept !== undefined && kept.until > this.#clock.now() ? kept.why : undefined
  }

  /** The world that the rules decide by. */
  look(found: Found, terms: Terms): World {
    const { now, epoch, records, machines, wanted, offers, shape, buysFrom } = found
    const nodes = new Map(found.nodes.map(node => [node.name, node]))
    const known = [...records, ...adopted(records, machines, now, epoch)]
    const views = known.map((record): ServerView => {
      const machine = machines.find(({ node }) => node === record.node)
      const view = {
        record,
        machine,
        missingMs: this.#lasts(this.#missing, record.node, machine === undefined),
        node: nodes.get(record.node),
        spareMs: 0,
        isKept: this.whyKept(record.node) !== undefined,
      }
      return { ...view, record: observed(view, now) }
    })
    const ours = new Set(known.map(({ node }) => node))
    const world: World = {
      now,
      epoch,
      terms,
      servers: views,
      strays: machines.filter(({ node, state }) => state !== 'ended' && !ours.has(node)),
      others: found.nodes.filter(({ name }) => !ours.has(name)),
      wanted,
      offers: offers.map(offer => ({ ...offer, isFull: (this.#full.get(offer.key) ?? 0) > this.#clock.now() })),
      shape,
      buysFrom,
    }
    const spare = spareServers(world)
    const servers = views.map(view => ({
      ...view,
      spareMs: this.#lasts(this.#spare, view.record.node, spare.has(view.record.node)),
    }))
    return { ...world, servers }
  }

  /** For how long it has been so, in milliseconds. */
  #lasts(since: Map<NodeName, number>, node: NodeName, isSo: boolean): number {
    if (!isSo) {
      since.delete(node)
      return 0
    }
    const from = since.get(node) ?? this.#clock.now()
    since.set(node, from)
    return this.#clock.now() - from
  }
}

/** Records for machines of the fleet that have none: those of a driver that has its machines from the start, or of a store that was lost. */
function adopted(
  records: readonly ServerRecord[],
  machines: readonly Server[],
  now: number,
  epoch: number,
): ServerRecord[] {
  const taken = new Set(records.map(({ number }) => number))
  const since = new Date(now).toISOString()
  const made: ServerRecord[] = []
  for (const { number, node, offer, state } of machines) {
    if (taken.has(number) || state === 'ended' || state === 'ending') continue
    taken.add(number)
    made.push({ number, node, offer, phase: state === 'stopped' ? 'standby' : 'starting', since, epoch })
  }
  return made
}
