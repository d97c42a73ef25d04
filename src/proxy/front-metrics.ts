import type { Metrics } from '../lib/metrics/metrics.ts'
import type { KnownNode } from './nodes.ts'

type Sources = {
  readonly nodes: () => readonly Pick<KnownNode, 'healthy' | 'overloaded'>[]
  readonly tcpConnections: () => number
  readonly workerDeaths: () => number
  readonly lookUpsRefused: () => number
  readonly nameServer: () => { readonly answered: number; readonly limited: number } | undefined
}

const STATES = ['healthy', 'overloaded', 'unhealthy'] as const

/** Adds the metrics of a front, besides those of its data plane. */
export function frontMetrics(metrics: Metrics, sources: Sources): void {
  const { nodes, tcpConnections, workerDeaths, lookUpsRefused, nameServer } = sources
  metrics.gauge(
    {
      name: 'front_nodes',
      help: 'Nodes that this front knows, by what its own checks say; overloaded ones get no apps that they do not have',
      labels: { state: STATES },
    },
    () => {
      const count = { healthy: 0, overloaded: 0, unhealthy: 0 }
      for (const { healthy, overloaded } of nodes())
        count[healthy ? (overloaded ? 'overloaded' : 'healthy') : 'unhealthy'] += 1
      return count
    },
  )
  metrics.gauge({ name: 'front_tcp_connections', help: 'Open connections by the TCP ports of apps' }, () => ({
    '': tcpConnections(),
  }))
  metrics.counter(
    { name: 'front_worker_deaths_total', help: 'Workers of the front that died, and were started again' },
    () => ({ '': workerDeaths() }),
  )
  metrics.counter(
    {
      name: 'front_look_ups_refused_total',
      help: 'Hostnames never seen that were not looked up, as too many came',
    },
    () => ({ '': lookUpsRefused() }),
  )
  metrics.counter(
    { name: 'front_dns_queries_total', help: 'Queries that the name server of the front has answered' },
    () => ({ '': nameServer()?.answered ?? 0 }),
  )
  metrics.counter(
    {
      name: 'front_dns_queries_limited_total',
      help: 'Queries over the limit of their network, most of which were not answered',
    },
    () => ({ '': nameServer()?.limited ?? 0 }),
  )
}
