import { Unwind } from '../lib/unwind.ts'
import type { SleepStep } from '../model/instance.ts'
import { type InstanceId, isPlain } from '../model/instance-id.ts'
import { LEASE_LOST_GRACE } from '../model/intervals.ts'
import type { VolumeId } from '../model/names.ts'
import { toMs } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Filesystem } from './filesystem/filesystem.ts'
import type { LeaseKeeper } from './leases/lease-keeper.ts'
import type { Container, Runtime } from './runtime/runtime.ts'
import type { OnStep } from './state.ts'
import type { BlockDriver } from './volumes/block-driver.ts'

export type TeardownParts = {
  readonly runtime: Runtime
  readonly volumes: BlockDriver
  readonly filesystem: Filesystem
  readonly leases: LeaseKeeper
  readonly onStep: OnStep
}

type What = {
  readonly instance: InstanceId
  readonly volume: VolumeId | undefined
  /** Asked for when it comes to the stop. */
  readonly graceMs: () => number
  /** The containers to stop, asked for when it comes to that. */
  readonly containers: () => Promise<readonly Container[]>
}

/**
 * All there can be to undo of an instance, whole from the start: a wake runs in two lanes, so the order of its steps is not the
 * order in which they must be undone. Container first, then the mount, the device and the lease; what was never done is "already so".
 */
export function teardownOf({ instance, volume, graceMs, containers }: What, parts: TeardownParts): Unwind {
  const undo = new Unwind()
  const push = (step: SleepStep, task: () => Promise<void>): void =>
    undo.push(step, async () => {
      parts.onStep(instance, step, 'before')
      await task()
      parts.onStep(instance, step, 'after')
    })
  if (volume !== undefined) {
    if (!parts.volumes.excludes) undo.push('release', () => parts.leases.release(volume))
    push('detach', () => parts.volumes.detach(volume))
    push('unmount', () => parts.filesystem.unmount(volume))
  }
  push('stop', async () => {
    for (const container of await containers()) {
      await parts.runtime.stop(container, graceMs())
      await parts.runtime.remove(container)
    }
  })
  return undo
}

/** How long the app may take to end by itself; no longer than `LEASE_LOST_GRACE` once its lease is lost. */
export function graceMs(task: TaskDefinition, lost: AbortSignal | undefined): number {
  const usual = toMs(task.sleep.grace)
  return lost?.aborted ? Math.min(usual, LEASE_LOST_GRACE) : usual
}

/** The instance's containers that the runtime knows. After a creation was cut short, this is how its container is found. */
export const foundOf = async (runtime: Runtime, instance: InstanceId): Promise<readonly Container[]> =>
  (await runtime.leftBehind()).filter(container => container.instance === instance)

/** The volume that the instance may have attached. One of several instances has no right to the volume of its app. */
export const volumeOf = (instance: InstanceId, task: TaskDefinition): VolumeId | undefined =>
  isPlain(instance) ? task.volume?.id : undefined
