import type { Metrics } from '../lib/metrics/metrics.ts'
import { PHASES, type Phase } from '../model/instance.ts'
import { InstanceCounters } from './instance-counters.ts'

type Instances = {
  readonly all: readonly { readonly phase: Phase; readonly holding: number; readonly waiting: number }[]
}

/** From a container that starts at once to an image that is pulled first, in seconds. */
const WAKE_SECONDS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120]

/** Adds the metrics of a node's instances, and returns the counters for them. `askWorkers` makes the holds of workers known here. */
export function instanceMetrics(
  metrics: Metrics,
  instances: () => Instances,
  askWorkers: () => Promise<void>,
): InstanceCounters {
  const counters = new InstanceCounters(
    metrics.durations({ name: 'wake_seconds', help: 'How long the wakes of apps took' }, WAKE_SECONDS),
  )
  const total = (of: 'holding' | 'waiting'): number => instances().all.reduce((sum, one) => sum + one[of], 0)
  metrics.gauge({ name: 'instances', help: 'Instances on this node, by phase', label: 'phase' }, () => {
    const count: Record<string, number> = Object.fromEntries(PHASES.map(phase => [phase, 0]))
    for (const { phase } of instances().all) count[phase] = (count[phase] ?? 0) + 1
    return count
  })
  metrics.gauge({ name: 'holds', help: 'Requests and WebSockets that keep apps awake' }, async () => {
    await askWorkers()
    return { '': total('holding') }
  })
  metrics.gauge({ name: 'requests_waiting', help: 'Requests that wait for the wake of their app' }, () => ({
    '': total('waiting'),
  }))
  metrics.counter({ name: 'wakes_total', help: 'Wakes of apps, by how they ended', label: 'outcome' }, () => ({
    awake: counters.wakes,
    failed: counters.failedWakes,
  }))
  metrics.counter(
    { name: 'stops_total', help: 'Times that an awake app was stopped, by why', label: 'why' },
    () => counters.stops,
  )
  return counters
}
