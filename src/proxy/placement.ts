import { createHash } from 'node:crypto'
import type { Node } from '../model/app.ts'
import type { AppName } from '../model/names.ts'

/** A node as the front sees it. */
export type Candidate = { readonly node: Node; readonly healthy: boolean; readonly overloaded: boolean }

/**
 * The node for an app that has no pin: a healthy one that is not overloaded, if there is one, else a healthy one. Every front
 * chooses the same of the same nodes, and a node that comes or goes moves only its own apps (rendezvous hashing, Thaler and
 * Ravishankar 1998).
 */
export function place(app: AppName, candidates: readonly Candidate[]): Node | undefined {
  const healthy = candidates.filter(candidate => candidate.healthy)
  const calm = healthy.filter(candidate => !candidate.overloaded)
  let best: { node: Node; weight: string } | undefined
  for (const { node } of calm.length > 0 ? calm : healthy) {
    const weight = createHash('sha256').update(`${app}/${node.name}`).digest('hex')
    if (best === undefined || weight > best.weight) best = { node, weight }
  }
  return best?.node
}
