import type { NodeClient } from '../api/client.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { NodeName } from '../model/names.ts'
import type { InstanceStats } from '../model/stats.ts'
import type { ControlledNode } from './nodes.ts'

const AT_ONCE = 64

/** What the awake instances of the nodes use; `silent`: the nodes that did not answer. */
export async function readStats(
  nodes: readonly ControlledNode[],
  clientOf: (node: ControlledNode) => NodeClient,
): Promise<{ items: InstanceStats[]; silent: NodeName[] }> {
  const read = async (node: ControlledNode): Promise<readonly InstanceStats[]> =>
    (await clientOf(node).call('listStats', {})).items
  const asked = await mapAtMost(AT_ONCE, nodes, async node => ({
    node: node.name,
    items: await read(node).catch(() => undefined), // the caller sees this node as silent
  }))
  return {
    items: asked.flatMap(({ items }) => items ?? []),
    silent: asked.flatMap(({ node, items }) => (items === undefined ? node : [])),
  }
}
