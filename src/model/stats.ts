import type { VolumeUse } from './instance.ts'
import type { InstanceId } from './instance-id.ts'
import type { NodeName } from './names.ts'

/** What an instance uses that is awake or frozen. Counters grow from the start of its container on; the reader takes the difference of two. */
export type InstanceStats = {
  readonly instance: InstanceId
  readonly node: NodeName
  /** Milliseconds of the node's monotonic clock when the counters were read. */
  readonly atMs: number
  /** Identifies the run: counters of another run begin at zero. */
  readonly run: string
  readonly cpuMs: number
  /** How many processors it may use. */
  readonly cpus: number
  readonly memoryBytes: number
  readonly memoryLimitBytes: number
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly readBytes: number
  readonly writtenBytes: number
  readonly pids: number
  readonly pidsLimit: number
  readonly volume?: VolumeUse | undefined
}

/** The share of one processor that an instance used between two readings, in percent, as `docker stats` counts it; undefined for one reading. */
export function cpuPercent(now: InstanceStats, before: InstanceStats | undefined): number | undefined {
  if (before === undefined || before.run !== now.run || now.atMs <= before.atMs) return undefined
  return (100 * Math.max(0, now.cpuMs - before.cpuMs)) / (now.atMs - before.atMs)
}
