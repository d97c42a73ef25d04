import { failures } from '../../src/lib/errors.ts'
import { logMetrics } from '../../src/lib/metrics/listener.ts'
import { type MetricDescription, Metrics } from '../../src/lib/metrics/metrics.ts'
import { apiMetrics, masterMetrics } from '../../src/master/master-metrics.ts'
import { storageMetrics } from '../../src/master/storage/measured.ts'
import { nodeMetrics } from '../../src/nodeproxy/node-metrics.ts'
import { frontMetrics } from '../../src/proxy/front-metrics.ts'
import { table } from './table.ts'

const never = (): never => {
  throw new Error('nothing is read to describe metrics')
}
const unread = {
  instances: never,
  askWorkers: never,
  waitingBytes: never,
  reservedBytes: never,
  parked: never,
  volumes: never,
  diskFreeBytes: never,
  leases: never,
  isCordoned: never,
  isDraining: never,
  workerDeaths: never,
  memoryPressure: never,
  nodes: never,
  tcpConnections: never,
  lookUpsRefused: never,
  nameServer: never,
  backups: never,
}

const DAEMONS: readonly (readonly [title: string, says: string, add: (metrics: Metrics) => void])[] = [
  [
    'Of a master',
    'Each master tells of its own requests to the store; nodes and backups are the same at all masters.',
    metrics => void [apiMetrics(metrics), storageMetrics(metrics), masterMetrics(metrics, unread)],
  ],
  ['Of a node', 'They are sums over the apps of the node.', metrics => void nodeMetrics(metrics, unread)],
  ['Of a front', 'Besides those with the label `daemon` above.', metrics => frontMetrics(metrics, unread)],
]

type Section = { readonly title: string; readonly says: string; readonly metrics: readonly MetricDescription[] }

/** Every metric, by who shows it. */
export function describedMetrics(): readonly Section[] {
  const common = new Metrics()
  logMetrics(common, never)
  const known = new Set(common.described.map(({ name }) => name))
  return [
    {
      title: 'Of every daemon',
      says: 'Those with the label `daemon` are about the connections of visitors (`front`), and of fronts and masters (`node`). A master alone has none of them.',
      metrics: common.described,
    },
    ...DAEMONS.map(([title, says, add]) => {
      const metrics = new Metrics()
      add(metrics)
      return { title, says, metrics: metrics.described.filter(({ name }) => !known.has(name)) }
    }),
  ]
}

/** docs/metrics.md. */
export function metricsPage(made: string): string {
  const sections = describedMetrics().map(({ title, says, metrics }) => {
    const rows = metrics.map(({ name, type, help, labels }) => [`\`${name}\``, type, labelsOf(labels), help])
    return `## ${title}\n\n${says}\n\n${table(['metric', 'type', 'labels', 'what it says'], rows)}`
  })
  return `# Metrics

${made}
Each daemon shows its metrics to Prometheus on an address of its own, if one is set. \`shadow up\` shows those of all three daemons on one
address. Daemons that share a machine need a port each.

\`\`\`sh
SHADOW_METRICS_LISTEN=127.0.0.1:9464 shadow up
\`\`\`

\`\`\`sh
curl http://127.0.0.1:9464/metrics
\`\`\`

Everybody who can connect to the address can read the metrics, so keep it private. They name no app, no hostname and no client: the values of
labels are those of the tables and no others, so the number of series does not grow with the number of apps. \`shadow status\`, \`shadow why\` and
the logs tell of single apps.

Threads of one daemon are added up; of the lag of the event loop, the worst thread is shown. Durations are histograms in seconds, with buckets
from 1 ms to 60 s. Counters begin at 0 with each start.

- [contrib/prometheus/prometheus.yml](../contrib/prometheus/prometheus.yml) is an example of a configuration that scrapes a cluster.
- [contrib/prometheus/rules.yml](../contrib/prometheus/rules.yml) has alert rules: nodes that are lost, wakes that fail or are slow, instances that are
  stuck, backups that are late, a store that fails, leases that are lost, and more.
- [contrib/grafana/shadow.json](../contrib/grafana/shadow.json) is a board for Grafana.

${sections.join('\n')}`
}

function labelsOf(labels: MetricDescription['labels']): string {
  return Object.entries(labels)
    .map(([label, values]) => `\`${label}\`: ${valuesOf(label, values)}`)
    .join('; ')
}

const valuesOf = (label: string, values: readonly string[]): string =>
  label === 'code' && values.length === Object.keys(failures).length
    ? 'see [errors](errors.md)'
    : label === 'version'
      ? 'the version'
      : values.join(', ')
