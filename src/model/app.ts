import type { Access } from './access.ts'
import type { VolumeBackupFacts } from './backup.ts'
import type { BudgetState } from './budget.ts'
import type { Hostname } from './hostname.ts'
import type { VolumeUse } from './instance.ts'
import type { Labels } from './labels.ts'
import type { Lease } from './lease.ts'
import type { AppName, NodeName, VolumeId } from './names.ts'
import type { Cordon, NodeState } from './node-state.ts'
import type { OwnPages } from './own-pages.ts'
import type { Pause } from './pause.ts'
import type { MemoryFacts, VolumeSlots } from './placement.ts'
import type { Size } from './quantities.ts'
import type { Scale } from './scale.ts'
import type { Session, Template } from './session.ts'
import type { VolumeSnapshotFacts } from './snapshot.ts'
import type { TaskDefinition, VolumeDriver } from './task.ts'
import type { TcpPort } from './tcp.ts'
import type { WakeRules } from './wake-rules.ts'

/**
 * The part of an app that fronts are given; the `Route` contains it. What the front itself applies belongs here, so that a change
 * of it restarts no container. A secret never belongs here.
 */
export type AppForFronts = {
  readonly name: AppName
  readonly domains: readonly Hostname[]
  /** Left out: everybody may use it, as much as they like. */
  readonly access?: Access | undefined
  /** Left out: one instance at most, which sleeps when nobody uses it. */
  readonly scale?: Scale | undefined
  /** Left out: every request wakes it. */
  readonly wake?: WakeRules | undefined
  /** Left out: browsers see the pages of the front. */
  readonly pages?: OwnPages | undefined
  /** Left out: no port of a front leads to it. */
  readonly tcp?: readonly TcpPort[] | undefined
  /** Set: nothing wakes it. */
  readonly paused?: Pause | undefined
  /** Set: it is only used to make sessions, and nothing wakes it. */
  readonly template?: Template | undefined
  /** Set: it is a session of a template. */
  readonly session?: Session | undefined
  readonly createdAt: string
  readonly updatedAt: string
}

/** An app with its current task definition, as the master and the app's node know it. */
export type App = AppForFronts & {
  readonly task: TaskDefinition
  /** How it stands with its budget, or that of its owner; left out: there is nothing to tell. */
  readonly budget?: BudgetState | undefined
  /** The apps that use it, as far as they were written down: an app's own definition decides. */
  readonly usedBy?: readonly AppName[] | undefined
  /** The permits of the apps that it uses. They are only in what a master sends to a node. */
  readonly permits?: Readonly<Record<string, string>> | undefined
  /** The version of the document with changes of secrets that the next release takes. */
  readonly staged?: number | undefined
}

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
  /** How full it is. Only where that was asked for, if its node answers; never stored. */
  readonly use?: VolumeUse | undefined
  /** What there is of its snapshots. Only in lists; never stored. */
  readonly snapshots?: VolumeSnapshotFacts | undefined
  /** What there is of its backups. Only in lists; never stored. */
  readonly backups?: VolumeBackupFacts | undefined
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
  /** Which boot of its machine it is: with another one at the same time, another machine has its name. */
  readonly boot?: string | undefined
  /** By how much its clock is ahead of the master's; left out while they agree to `CLOCKS_DIFFER_BY`. */
  readonly clockAheadMs?: number | undefined
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
