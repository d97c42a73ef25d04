import { failures } from '../lib/errors.ts'
import type { Metrics } from '../lib/metrics/metrics.ts'
import { PHASES, type Phase, STOP_REASONS, WAKE_CAUSES, WAKE_STEPS, WAKE_TIERS } from '../model/instance.ts'
import { InstanceCounters } from './instance-counters.ts'

type Shown = {
  readonly phase: Phase
  readonly holding: number
  readonly waiting: number
  readonly awakeMs: number
}

export type InstanceSources = {
  readonly instances: () => readonly Shown[]
  /** Makes the holds of workers known here. */
  readonly askWorkers: () => Promise<void>
  /** The memory that the requests take that wait. */
  readonly waitingBytes: () => number
}

/** Adds the metrics of a node's instances, and returns the counters for them. */
export function instanceMetrics(
  metrics: Metrics,
  { instances, askWorkers, waitingBytes }: InstanceSources,
): InstanceCounters {
  const counters = wakeMetrics(metrics)
  const total = (of: 'holding' | 'waiting' | 'awakeMs'): number => instances().reduce((sum, one) => sum + one[of], 0)
  metrics.gauge({ name: 'instances', help: 'Instances on this node, by phase', labels: { phase: PHASES } }, () => {
    const count: Record<string, number> = Object.fromEntries(PHASES.map(phase => [phase, 0]))
    for (const { phase } of instances()) count[phase] = (count[phase] ?? 0) + 1
    return count
  })
  metrics.gauge({ name: 'holds', help: 'Requests, WebSockets, sessions and leases that keep apps awake' }, async () => {
    await askWorkers()
    return { '': total('holding') }
  })
  metrics.gauge({ name: 'requests_waiting', help: 'Requests that are held until their app is awake' }, () => ({
    '': total('waiting'),
  }))
  metrics.gauge({ name: 'requests_waiting_bytes', help: 'The memory that those requests take' }, () => ({
    '': waitingBytes(),
  }))
  metrics.counter({ name: 'awake_seconds_total', help: 'For how long instances were awake, all together' }, () => ({
    '': (counters.awakeMs + total('awakeMs')) / 1_000,
  }))
  metrics.counter(
    { name: 'stops_total', help: 'Times that an awake app was stopped, by why', labels: { why: STOP_REASONS } },
    () => counters.stops,
  )
  return counters
}

function wakeMetrics(metrics: Metrics): InstanceCounters {
  const cause = WAKE_CAUSES
  const tier = WAKE_TIERS
  const wakes = metrics.events({
    name: 'wakes_total',
    help: 'Wakes of apps, by what they were for and how they ended',
    labels: { cause, outcome: ['awake', 'failed'] },
  })
  const failed = metrics.events({
    name: 'wake_failures_total',
    help: 'Wakes that failed, by the code of the error',
    labels: { code: Object.keys(failures) },
  })
  const took = metrics.durations({
    name: 'wake_duration_seconds',
    help: 'How long the wakes of apps took, from the start of the wake until the app was ready, by the tier that it was in',
    labels: { tier },
  })
  const stageTook = metrics.durations({
    name: 'wake_stage_duration_seconds',
    help: 'How long each stage of those wakes took; some stages run side by side',
    labels: { stage: WAKE_STEPS, tier },
  })
  return new InstanceCounters({
    woken: ({ cause, ms, steps }, tier) => {
      if (cause !== undefined) wakes({ cause, outcome: 'awake' })
      took(ms, { tier })
      for (const [stage, stageMs] of Object.entries(steps)) stageTook(stageMs, { stage, tier })
    },
    wakeFailed: ({ cause, code }) => {
      if (cause !== undefined) wakes({ cause, outcome: 'failed' })
      failed({ code })
    },
  })
}
