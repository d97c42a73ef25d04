import type { NodeName } from '../../model/names.ts'
import { growth } from './growth.ts'
import type { NodeView, World } from './world.ts'

/** Beyond what the apps of a server reserve, the others must have so much more room: else it would be given up and missed in turns. */
const MARGIN = 1.25

/**
 * The servers that the fleet could do without now: those without awake apps, and one whose apps have room elsewhere. The rest must keep the
 * memory free that is to be free.
 */
export function spareServers(world: World): ReadonlySet<NodeName> {
  const spare = new Set<NodeName>()
  if (growth(world).needs.length > 0) return spare
  const serving = world.servers.flatMap(view =>
    view.record.phase === 'serving' && view.node?.isUsable ? [{ ...view, node: view.node }] : [],
  )
  const usable = [...world.others, ...serving.map(({ node }) => node)].filter(({ isUsable }) => isUsable)
  let free = usable.reduce((sum, { freeBytes }) => sum + freeBytes, 0)
  // The last numbers go first, so that the first ones are those that stay.
  const emptiest = serving.toSorted((a, b) => usedBy(a.node) - usedBy(b.node) || b.record.number - a.record.number)
  for (const { record, node, isKept } of emptiest) {
    if (isKept) continue
    const used = usedBy(node)
    const left = free - node.freeBytes
    if (left < world.terms.warmBytes + used * MARGIN) continue
    // Apps have to go somewhere, one server at a time.
    if (used > 0 && spare.size > 0) break
    spare.add(record.node)
    free = left - used
    if (used > 0) break
  }
  return spare
}

/** What its apps reserve, at most. */
const usedBy = ({ awake, bytes, freeBytes }: NodeView): number => (awake === 0 ? 0 : Math.max(1, bytes - freeBytes))
