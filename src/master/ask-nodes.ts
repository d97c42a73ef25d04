import { mapAtMost } from '../lib/parallel.ts'
import type { NodeName } from '../model/names.ts'
import type { ControlledNode } from './nodes.ts'

const AT_ONCE = 64

/** Asks each of the nodes; `silent`: the nodes that did not answer, and those that are gone, which are not asked. */
export async function askNodes<T>(
  nodes: readonly ControlledNode[],
  ask: (node: ControlledNode) => Promise<T>,
): Promise<{ answers: readonly T[]; silent: NodeName[] }> {
  const asked = await mapAtMost(AT_ONCE, nodes, async node => {
    const answering = node.state === 'gone' ? Promise.reject(new Error('it is gone')) : ask(node)
    const answer = await answering.then(
      value => ({ value }),
      () => undefined, // the caller sees this node as silent
    )
    return { node: node.name, answer }
  })
  return {
    answers: asked.flatMap(({ answer }) => (answer === undefined ? [] : [answer.value])),
    silent: asked.flatMap(({ node, answer }) => (answer === undefined ? node : [])),
  }
}
