import type { Access } from './access.ts'
import type { Hostname } from './hostname.ts'
import type { AppName, NodeName, VolumeId } from './names.ts'
import type { Size } from './quantities.ts'
import type { TaskDefinition } from './task.ts'

/** An app with its current task definition, as everybody but the master's storage sees it. */
export type App = {
  readonly name: AppName
  readonly domains: readonly Hostname[]
  readonly task: TaskDefinition
  /** Left out: everybody may use it, as much as they like. */
  readonly access?: Access | undefined
  readonly createdAt: string
  readonly updatedAt: string
}

/** Whether `a` came after `b`: an app that was removed and registered anew begins at revision 1 again. */
export function isNewer(a: App, b: App): boolean {
  if (a.createdAt !== b.createdAt) return a.createdAt > b.createdAt
  if (a.task.revision !== b.task.revision) return a.task.revision > b.task.revision
  return a.updatedAt > b.updatedAt
}

/** Who may attach a volume. `until` null: until it is given up (a loop volume's bytes live on that node). */
export type Lease = { readonly node: NodeName; readonly epoch: number; readonly until: string | null }

/** What the master knows of a volume. `app` is null once its app was removed and its data kept. */
export type Volume = {
  readonly id: VolumeId
  readonly app: AppName | null
  readonly size: Size
  readonly lease: Lease | null
  readonly createdAt: string
}

/** What a node says of itself every few seconds. `key` is what master and fronts show to the node; it never leaves them. */
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
