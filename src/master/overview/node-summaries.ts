import type { NodeClient } from '../../api/client.ts'
import { isFailure } from '../../lib/errors.ts'
import { type InstanceSummary, summaryOf } from '../../model/instance-summary.ts'
import type { ControlledNode } from '../nodes.ts'

/** What a node is asked: what has changed since a version that it gave, and how long it may wait for a change. */
export type Asking = [since: string | undefined, waitMs: number, signal: AbortSignal]

/** What has changed on a node since a version that it gave; all of it if `isWhole`. */
export type NodeSummaries = {
  readonly version: string | undefined
  readonly isWhole: boolean
  readonly items: readonly InstanceSummary[]
  readonly gone: readonly string[]
}

/** Asks a node. Fails if it does not answer until the signal aborts. */
export type SummariesOf = (node: ControlledNode, ...asked: Asking) => Promise<NodeSummaries>

export async function readSummaries(client: NodeClient, ...[since, waitMs, signal]: Asking): Promise<NodeSummaries> {
  try {
    return await client.call('listSummaries', { query: { since, waitMs }, signal })
  } catch (error) {
    if (!isFailure(error, 'not-found')) throw error
    const { items } = await client.call('listInstances', { signal }) // a node of an earlier version has no summaries
    return { version: undefined, isWhole: true, items: items.map(summaryOf), gone: [] }
  }
}
