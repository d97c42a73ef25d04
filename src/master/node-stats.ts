import type { NodeClient } from '../api/client.ts'
import type { NodeName } from '../model/names.ts'
import type { InstanceStats } from '../model/stats.ts'
import { askNodes } from './ask-nodes.ts'
import type { ControlledNode } from './nodes.ts'

/** What the awake instances of the nodes use; `silent`: the nodes that did not answer. */
export async function readStats(
  nodes: readonly ControlledNode[],
  clientOf: (node: ControlledNode) => NodeClient,
): Promise<{ items: InstanceStats[]; silent: NodeName[] }> {
  const { answers, silent } = await askNodes(nodes, async node => clientOf(node).call('listStats', {}))
  return { items: answers.flatMap(({ items }) => items), silent }
}
