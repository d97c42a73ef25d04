import type { Node } from '../../model/app.ts'
import { ZONE } from '../../model/labels.ts'
import type { Candidate } from '../../model/placement.ts'
import type { NodeView } from './world.ts'

/** What the rules of the fleet know of a node, at this time by the masters. */
export function nodeView({ node, healthy }: Candidate<Node>, now: number): NodeView {
  const { name, state, cordon, room, volumeSlots, labels, volumeDrivers = ['loop'] } = node
  const isGone = state === 'gone'
  const zone = labels?.[ZONE]
  return {
    name,
    isUsable: healthy && !isGone && cordon === undefined,
    isGone,
    ...(isGone && node.since !== undefined && { silentMs: now - Date.parse(node.since) }),
    isDraining: cordon?.drain !== undefined,
    ...(cordon?.drain !== undefined && node.toLeave !== undefined && { toLeave: node.toLeave }),
    awake: node.awake,
    bytes: room?.reservableBytes ?? node.memoryBytes,
    freeBytes: room?.freeBytes ?? node.memoryBytes * (1 - node.memoryUtilization),
    idleBytes: room?.idleBytes ?? 0,
    freeSlots: volumeSlots === undefined ? Number.POSITIVE_INFINITY : volumeSlots.free + volumeSlots.idle,
    ...(zone !== undefined && { zone }),
    drivers: volumeDrivers,
  }
}
