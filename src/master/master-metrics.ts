import type { RequestListener } from 'node:http'
import { CLASSES, type Metrics } from '../lib/metrics/metrics.ts'
import { NODE_STATES, type NodeState } from '../model/node-state.ts'
import { BACKUP_STATES, type BackupsNow } from './backups/schedule.ts'

type Sources = {
  /** All nodes that have a record. */
  readonly nodes: () => Promise<readonly { readonly state: NodeState }[]>
  readonly backups: () => BackupsNow
}

const NODES_READ_EVERY_MS = 10_000

/** Adds the metrics of a master, besides those of its store and its API. */
export function masterMetrics(metrics: Metrics, { nodes, backups }: Sources): void {
  let known: { readonly at: number; readonly count: Promise<Record<NodeState, number>> } | undefined
  const counted = async (): Promise<Record<NodeState, number>> => {
    const count = { joining: 0, healthy: 0, unhealthy: 0, draining: 0, gone: 0 }
    for (const { state } of await nodes()) count[state] += 1
    return count
  }
  metrics.gauge(
    {
      name: 'nodes',
      help: 'Nodes of the cluster, by their state; gone: they have been silent for 20 s, and are still listed',
      labels: { state: NODE_STATES },
    },
    () => {
      // Each reading takes as many requests to the store as there are nodes.
      if (known === undefined || performance.now() - known.at > NODES_READ_EVERY_MS)
        known = { at: performance.now(), count: counted() }
      return known.count
    },
  )
  metrics.gauge(
    {
      name: 'backup_volumes',
      help: 'Volumes that are backed up by the clock, by their newest backup; late: it is older than two periods',
      labels: { state: BACKUP_STATES },
    },
    () => backups().count,
  )
  metrics.gauge(
    {
      name: 'backup_oldest_age_seconds',
      help: 'The age of the newest backup of the volume, of those that are backed up by the clock, whose newest backup is the oldest',
    },
    () => ({ '': backups().oldestAgeMs / 1_000 }),
  )
}

/** Adds the metrics of the API, and returns a function that counts what a handler of it answers. */
export function apiMetrics(metrics: Metrics): (handler: RequestListener) => RequestListener {
  const answered = metrics.events({
    name: 'api_requests_total',
    help: 'Requests to the API of this master that were answered, by the class of their status; streams and sessions count when they end',
    labels: { class: CLASSES },
  })
  return handler => (request, response) => {
    response.once('finish', () => answered({ class: `${Math.floor(response.statusCode / 100)}xx` }))
    handler(request, response)
  }
}
