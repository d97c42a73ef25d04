import { isFailure } from '../../src/lib/errors.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import type { NodeName } from '../../src/model/names.ts'
import { REFUSES_WAKE } from '../../src/model/placement.ts'
import type { EventQueue } from './event-queue.ts'
import type { Front } from './front.ts'
import type { Visit } from './load.ts'
import type { SimulatedNode } from './node.ts'

type Options = {
  readonly clock: EventQueue
  readonly front: Front
  readonly nodes: ReadonlyMap<NodeName, SimulatedNode>
  readonly next: () => Visit
  readonly forMs: number
  readonly random: () => number
}

export type Outcome = {
  visits: number
  /** How many visits were not served: no node took the app. */
  refused: number
  /** How often placement chose a node. */
  placed: number
  mostAwake: number
}

const DIES_EVERY_MS = 10 * 60_000
const REPLACED_AFTER_MS = 5 * 60_000
const COUNTED_EVERY_MS = 60_000

/** Lets the visits come for this time. Every ten minutes a node dies, and an empty machine takes its place after five. */
export async function run({ clock, front, nodes, next, forMs, random }: Options): Promise<Outcome> {
  const end = clock.now() + forMs
  const outcome: Outcome = { visits: 0, refused: 0, placed: 0, mostAwake: 0 }
  const all = [...nodes.values()]

  const visit = async (app: number, lastsMs: number): Promise<void> => {
    const route = await front.route(app)
    const without = new Set<NodeName>()
    outcome.visits++
    for (;;) {
      const before = front.pins.get(instanceId(route.name))
      const chosen = await Promise.resolve(front.choose(route, without)).catch(() => undefined)
      const node = chosen && nodes.get(chosen.name)
      if (chosen === undefined || node === undefined || without.has(chosen.name)) {
        outcome.refused++
        return
      }
      if (chosen.name !== before) outcome.placed++
      if (node.isDead) {
        front.nodes.failed(chosen.name)
        without.add(chosen.name)
        continue
      }
      try {
        await node.serve(route.name, lastsMs)
        front.pin(route, chosen)
        return
      } catch (error) {
        if (!isFailure(error, ...REFUSES_WAKE)) throw error
        without.add(chosen.name)
      }
    }
  }
  const come = ({ afterMs, app, lastsMs }: Visit): void => {
    clock.after(afterMs, async () => {
      if (clock.now() >= end) return
      come(next())
      await visit(app, lastsMs)
    })
  }
  const die = (): void => {
    const node = all[Math.floor(random() * all.length)]
    if (node === undefined || node.isDead) return
    node.die()
    clock.after(REPLACED_AFTER_MS, () => node.replace())
  }

  come(next())
  clock.every(DIES_EVERY_MS, die)
  clock.every(COUNTED_EVERY_MS, () => {
    outcome.mostAwake = Math.max(
      outcome.mostAwake,
      all.reduce((sum, { awake }) => sum + awake, 0),
    )
  })
  await clock.runUntil(end)
  for (const node of all) node.count()
  return outcome
}
