import { Unwind } from '../lib/unwind.ts'
import type { SleepStep } from '../model/instance.ts'
import { type InstanceId, isPlain } from '../model/instance-id.ts'
import { toMs } from '../model/quantities.ts'
import type { TaskDefinition, TaskVolume } from '../model/task.ts'
import type { AppSockets } from './app-socket/app-sockets.ts'
import type { Filesystem } from './filesystem/filesystem.ts'
import type { LeaseKeeper } from './leases/lease-keeper.ts'
import type { Container, Runtime } from './runtime/runtime.ts'
import type { OnStep } from './state.ts'
import type { BlockDrivers, VolumeRef } from './volumes/block-drivers.ts'
import type { Lingering } from './volumes/lingering.ts'

export type TeardownParts = {
  readonly runtime: Runtime
  readonly volumes: BlockDrivers
  readonly filesystem: Filesystem
  readonly leases: LeaseKeeper
  /** How long an app whose lease is lost may take to end by itself. */
  readonly leaseLostGraceMs: number
  /** Whether apps have no time at all to end by themselves; left out: they have. */
  readonly isHard?: (() => boolean) | undefined
  readonly onStep: OnStep
  /** Disks that stay attached after a sleep; left out: none does. */
  readonly lingering?: Lingering | undefined
  /** The sockets over which apps speak to this node; left out: they have none. */
  readonly sockets?: Pick<AppSockets, 'use' | 'open' | 'close' | 'keep' | 'kept'> | undefined
}

type What = {
  readonly instance: InstanceId
  readonly volume: VolumeRef | undefined
  /** Asked for when it comes to the stop. */
  readonly graceMs: () => number
  /** What was to be undone until now, and is part of this from here on. */
  readonly before?: Unwind | undefined
  /** The containers to stop, asked for when it comes to that. */
  readonly containers: () => Promise<readonly Container[]>
}

/**
 * All there can be to undo of an instance, whole from the start: a wake runs in two lanes, so the order of its steps is not the
 * order in which they must be undone. Container first, then the mount, the device and the lease; what was never done is "already so".
 */
export function teardownOf({ instance, volume, graceMs, before, containers }: What, parts: TeardownParts): Unwind {
  const undo = new Unwind()
  parts.sockets?.use(instance, undo, before)
  const push = (step: SleepStep, task: () => Promise<void>): void =>
    undo.push(step, async () => {
      parts.onStep(instance, step, 'before')
      await task()
      parts.onStep(instance, step, 'after')
    })
  if (volume !== undefined) {
    let stays = false
    if (parts.volumes.expires(volume))
      undo.push('release', async () => {
        if (!stays) await parts.leases.release(volume.id)
      })
    push('detach', async () => {
      stays = parts.lingering?.keep(instance, volume) ?? false
      if (stays) return
      await parts.lingering?.resume(volume.id)
      await parts.volumes.of(volume).detach(volume.id)
    })
    push('unmount', () => parts.filesystem.unmount(volume.id))
  }
  push('stop', async () => {
    for (const container of await containers()) {
      await parts.runtime.stop(container, graceMs())
      await parts.runtime.remove(container)
    }
    await parts.sockets?.close(instance, undo)
  })
  return undo
}

/** How long the app may take to end by itself; no longer than `leaseLostGraceMs` once its lease is lost, and not at all if it is ended hard. */
export function graceMs(
  task: TaskDefinition,
  lost: AbortSignal | undefined,
  { leaseLostGraceMs, isHard }: Pick<TeardownParts, 'leaseLostGraceMs' | 'isHard'>,
): number {
  if (isHard?.()) return 0
  const usual = toMs(task.sleep.grace)
  return lost?.aborted ? Math.min(usual, leaseLostGraceMs) : usual
}

/** The instance's containers that the runtime knows, without `others`. After a creation was cut short, this is how its container is found. */
export const foundOf = async (
  runtime: Runtime,
  instance: InstanceId,
  others: ReadonlySet<string>,
): Promise<readonly Container[]> =>
  (await runtime.leftBehind()).filter(container => container.instance === instance && !others.has(container.id))

/** The volume that the instance may have attached. One of several instances has no right to the volume of its app. */
export const volumeOf = (instance: InstanceId, task: TaskDefinition): TaskVolume | undefined =>
  isPlain(instance) ? task.volume : undefined
