import type { Access } from './access.ts'
import type { Hostname } from './hostname.ts'
import type { VolumeUse } from './instance.ts'
import type { AppName, NodeName, VolumeId } from './names.ts'
import type { Size } from './quantities.ts'
import type { TaskDefinition } from './task.ts'

/**
 * The part of an app that fronts are given (the `Route` has all of it): what the front itself applies belongs here, so that a
 * change of it restarts nothing. A secret never belongs here.
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

/** Who may attach a volume. `until` null: until it is given up (a loop volume's bytes live on that node). */
export type Lease = { readonly node: NodeName; readonly epoch: number; readonly until: string | null }

/** What the master knows of a volume. `app` is null once its app was removed and its data kept. */
export type Volume = {
  readonly id: VolumeId
  readonly app: AppName | null
  readonly size: Size
  readonly lease: Lease | null
  readonly createdAt: string
  /** How full it is, told in lists where its node answers; never stored. */
  readonly use?: VolumeUse | undefined
}

/** What a node says of itself every few seconds. `key` is what fronts show to the node; it never leaves them and the master. */
export type Node = {
  readonly name: NodeName
  readonly address: string
  readonly key: string
  readonly cpus: number
  readonly memoryBytes: number
  readonly cpuUtilization: number
  readonly memoryUtilization: number
  readonly awake: number
  /** When it counts as lost unless it speaks again. */
  readonly until: string
}
