import type { Access } from './access.ts'
import type { Hostname } from './hostname.ts'
import type { VolumeUse } from './instance.ts'
import type { Labels } from './labels.ts'
import type { Lease } from './lease.ts'
import type { AppName, NodeName, VolumeId } from './names.ts'
import type { Cordon, NodeState } from './node-state.ts'
import type { MemoryFacts, VolumeSlots } from './placement.ts'
import type { Size } from './quantities.ts'
import type { TaskDefinition, VolumeDriver } from './task.ts'

/**
 * The part of an app that fronts are given; the `Route` contains it. What the front itself applies belongs here, so that a change
 * of it restarts no container. A secret never belongs here.
 */
export type AppForFronts = {
  readonly name: AppName
  readonly domains: readonly Hostname[]
  /** Left out: everybody may use it, as much as they like. */
  readonly access?: Access | undefined
  readonly createdAt: string
  readonly updatedAt: string
}

/** An app with its current task definition, as the master and the app's node know it. */
export type App = AppForFronts & { readonly task: TaskDefinition }

/** What the master knows of a volume. `app` is null once its app was removed and its data kept. */
export type Volume = {
  readonly id: VolumeId
  readonly app: AppName | null
  readonly size: Size
  /** Left out: loop. */
  readonly driver?: VolumeDriver | undefined
  /** The zone of its storage. Left out: all nodes with its driver reach it, or it is not made yet. */
  readonly zone?: string | undefined
  readonly lease: Lease | null
  /** The node whose disk has it was removed as lost. Until that node is back, no node gets a lease. */
  readonly lost?: { readonly node: NodeName; readonly at: string } | undefined
  readonly createdAt: string
  /** How full it is. Only in lists, if its node answers; never stored. */
  readonly use?: VolumeUse | undefined
}

/** A node's announcement, which it repeats every few seconds. Fronts show `key` to the node; only fronts and masters have it. */
export type Node = {
  readonly name: NodeName
  readonly address: string
  readonly key: string
  readonly cpus: number
  readonly memoryBytes: number
  readonly cpuUtilization: number
  readonly memoryUtilization: number
  readonly awake: number
  readonly labels?: Labels | undefined
  readonly room?: MemoryFacts | undefined
  readonly volumeSlots?: VolumeSlots | undefined
  /** `imageKey` of the newest images that it has. */
  readonly images?: readonly string[] | undefined
  /** Of its Shadow. */
  readonly version?: string | undefined
  /** Whether it cannot serve apps now: see `overall` of its health. */
  readonly trouble?: boolean | undefined
  /** How many instances have still to leave it; only while it drains. */
  readonly toLeave?: number | undefined
  readonly state: NodeState
  /** Since when it is in this state, as far as the masters know; ISO 8601. */
  readonly since?: string | undefined
  readonly cordon?: Cordon | undefined
  /** The drivers whose volumes it can attach; left out by earlier versions of Shadow: loop alone. */
  readonly volumeDrivers?: readonly VolumeDriver[] | undefined
  /** The node counts as lost after this time, unless it announces itself again. */
  readonly until: string
  /** The id of the node as a member of the cluster, which its certificate has; undefined where there is no cluster. */
  readonly member?: string | undefined
}
