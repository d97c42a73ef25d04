import type { InstanceSummary } from '../../model/instance-summary.ts'
import type { ControlledNode } from '../nodes.ts'

/** Asks a node what has changed since a version that it gave; with a version, the node waits so long for a change. Fails if it does not answer. */
export type SummariesOf = (
  node: ControlledNode,
  since: string | undefined,
  waitMs: number,
  signal: AbortSignal,
) => Promise<NodeSummaries>

/** What has changed on a node since a version that it gave; all of it if `isWhole`. */
export type NodeSummaries = {
  readonly version: string | undefined
  readonly isWhole: boolean
  readonly items: readonly InstanceSummary[]
  readonly gone: readonly string[]
}
