import type { Metrics } from '../lib/metrics/metrics.ts'
import type { VolumeUse } from '../model/instance.ts'
import type { InstanceCounters } from './instance-counters.ts'
import { type InstanceSources, instanceMetrics } from './instance-metrics.ts'
import { LEASE_KINDS, type LeaseKind } from './leases/leases.ts'
import type { MemoryPressure } from './pressure/memory-pressure.ts'
import { NEARLY_FULL } from './space/volume-uses.ts'

type Sources = InstanceSources & {
  readonly reservedBytes: () => number
  readonly memoryPressure: () => Pick<MemoryPressure, 'isShort' | 'counts'>
  /** The volumes that were awake lately. */
  readonly volumes: () => readonly VolumeUse[]
  readonly diskFreeBytes: () => Promise<number>
  readonly leases: () => { readonly counts: Readonly<Record<LeaseKind, number>>; readonly lost: number }
  readonly parked: () => number
  readonly isCordoned: () => boolean
  readonly isDraining: () => boolean
  readonly workerDeaths: () => number
}

/** Adds the metrics of a node, and returns the counters of its instances. They are sums: Prometheus is shown nothing by app. */
export function nodeMetrics(metrics: Metrics, sources: Sources): InstanceCounters {
  const {
    parked,
    reservedBytes,
    memoryPressure,
    volumes,
    diskFreeBytes,
    leases,
    isCordoned,
    isDraining,
    workerDeaths,
  } = sources
  const counters = instanceMetrics(metrics, sources)
  const gauge = (name: string, help: string, value: () => number | Promise<number>): void =>
    metrics.gauge({ name, help }, async () => ({ '': await value() }))
  const sum = (of: keyof VolumeUse) => (): number => volumes().reduce((total, use) => total + use[of], 0)
  gauge('memory_reserved_bytes', 'What the apps that are awake reserve of the memory', reservedBytes)
  gauge('parked_apps', 'Apps that are asleep, with a container that waits for their next wake', parked)
  gauge('memory_short', '1 if the machine is short of memory, so that unused apps are stepped down, else 0', () =>
    Number(memoryPressure().isShort),
  )
  metrics.counter(
    {
      name: 'memory_steps_total',
      help: 'Steps for want of memory: apps that were suspended or put to sleep, and what was prepared for wakes and given back',
      labels: { to: ['suspended', 'asleep', 'reclaimed'] },
    },
    () => memoryPressure().counts,
  )
  gauge('volumes_used_bytes', 'What is used in the volumes of this node that were awake lately', sum('usedBytes'))
  gauge('volumes_size_bytes', 'How large those volumes are', sum('sizeBytes'))
  gauge('volumes_disk_bytes', 'What those volumes take of the disk', sum('onDiskBytes'))
  gauge(
    'volumes_nearly_full',
    'How many of those volumes are used by 90 % or more',
    () => volumes().filter(use => use.usedBytes >= NEARLY_FULL * use.sizeBytes).length,
  )
  gauge('disk_free_bytes', 'What is free on the disk of the data folder', diskFreeBytes)
  gauge('node_cordoned', '1 if this node takes no new apps, else 0', () => Number(isCordoned()))
  gauge('node_draining', '1 if the apps of this node leave it, else 0', () => Number(isDraining()))
  metrics.gauge(
    {
      name: 'leases',
      help: 'Leases of volumes that this node has used since its start and holds: without expiry, with it, and those of disks that exclude a second holder by themselves',
      labels: { kind: LEASE_KINDS },
    },
    () => leases().counts,
  )
  metrics.counter(
    {
      name: 'leases_lost_total',
      help: 'Leases that were lost: another node got the volume, or no master renewed them in time',
    },
    () => ({ '': leases().lost }),
  )
  metrics.counter(
    { name: 'node_worker_deaths_total', help: 'Workers of the node that died, and were started again' },
    () => ({ '': workerDeaths() }),
  )
  return counters
}
