import type { Unwind } from '../lib/unwind.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { BusyLease } from './busy-leases.ts'
import type { ExitWatch } from './exit-watch.ts'
import type { Container } from './runtime/runtime.ts'

/** A container that is ready, and how to let go of it and of what it stands on. */
export type Running = {
  /** The definition that it runs by; replaced by one that only makes the volume larger, or only changes what it may reach. */
  task: TaskDefinition
  readonly container: Container
  /** `ip:port` */
  readonly address: string
  readonly undo: Unwind
  readonly readyAt: number
  readonly watch: ExitWatch
  /** Aborts when the lease of its volume is lost. */
  readonly lost?: AbortSignal | undefined
}

/** What an earlier run of the node left beside the run that serves: runs of earlier releases, and leases of the app. `isFrozen`: its processes do not run. */
export type Adopted = {
  readonly formers?: readonly Running[]
  readonly leases?: readonly BusyLease[]
  readonly isFrozen?: boolean
}
