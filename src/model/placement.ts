import { createHash } from 'node:crypto'
import type { AppName, NodeName } from './names.ts'

/** A node as placement sees it. */
export type Candidate<N extends { readonly name: NodeName }> = {
  readonly node: N
  readonly healthy: boolean
  readonly overloaded: boolean
}

const MOST_CPU = 1
const MOST_MEMORY = 0.8

/** Whether other nodes should be preferred to this one. The utilizations are shares of all cores and of the memory. */
export const isOverloaded = (node: { readonly cpuUtilization: number; readonly memoryUtilization: number }): boolean =>
  node.cpuUtilization > MOST_CPU || node.memoryUtilization > MOST_MEMORY

/**
 * The node for an app that no node has: a healthy one that is not overloaded, else any healthy one; undefined if there is none. All
 * fronts and masters choose the same node from the same list. A node that comes or goes moves only its own apps (rendezvous hashing,
 * Thaler and Ravishankar 1998).
 */
export function place<N extends { readonly name: NodeName }>(
  app: AppName,
  candidates: readonly Candidate<N>[],
): N | undefined {
  const healthy = candidates.filter(candidate => candidate.healthy)
  const calm = healthy.filter(candidate => !candidate.overloaded)
  let best: { node: N; weight: string } | undefined
  for (const { node } of calm.length > 0 ? calm : healthy) {
    const weight = createHash('sha256').update(`${app}/${node.name}`).digest('hex')
    if (best === undefined || weight > best.weight) best = { node, weight }
  }
  return best?.node
}
