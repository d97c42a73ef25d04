import { besideKey, type InstanceId, isPlain } from '../../model/instance-id.ts'
import { reservedBy } from '../../model/placement.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { HandedOver } from '../lifecycle.ts'
import { pinnedTo } from '../pinned-image.ts'
import type { Running } from '../running-container.ts'
import type { Container } from '../runtime/runtime.ts'
import type { Wake } from '../state.ts'
import { graceMs, teardownOf, volumeOf } from '../teardown.ts'
import { startContainer, stepper, type WakeParts, wakeCompanions } from '../wake.ts'

/** The container of a newer revision that waits for the volume of the one that runs. It is made, and not started. */
export type NextContainer = {
  readonly task: TaskDefinition
  /** Starts it. The earlier one has stopped, and has left the volume mounted. */
  begin(before: HandedOver, signal: AbortSignal): Wake
  /** Removes it; it was never started. */
  discard(): Promise<void>
}

/** Whether the newer revision can take the volume over as it is mounted, and needs no more memory than the earlier one has. */
export const canHandOver = (instance: InstanceId, before: TaskDefinition, next: TaskDefinition): boolean =>
  isPlain(instance) &&
  before.volume !== undefined &&
  next.volume !== undefined &&
  before.volume.id === next.volume.id &&
  before.volume.size === next.volume.size &&
  before.volume.driver === next.volume.driver &&
  // The definition of a run that was taken over after a restart is not known: it has the time of the current one.
  before.createdAt !== next.createdAt &&
  reservedBy(next) <= reservedBy(before)

/** Makes the container while the earlier one serves, so that requests do not wait for it. */
export async function makeNext(
  instance: InstanceId,
  given: TaskDefinition,
  parts: WakeParts,
  signal: AbortSignal,
): Promise<NextContainer> {
  const task = pinnedTo(given, await parts.runtime.ensureImage(given.image, signal, given))
  const at = task.volume && parts.filesystem.at(task.volume.id)
  const container = await parts.runtime.create(instance, task, at, signal, besideKey(instance, task.revision))
  return {
    task: given,
    begin: (before, starting) => beginNext(instance, { task, container }, before, parts, starting),
    discard: () => parts.runtime.remove(container),
  }
}

function beginNext(
  instance: InstanceId,
  { task, container }: { readonly task: TaskDefinition; readonly container: Container },
  { running: before, stopped }: HandedOver,
  parts: WakeParts,
  signal: AbortSignal,
): Wake {
  const { lost } = before
  const undo = teardownOf(
    {
      instance,
      volume: volumeOf(instance, task),
      graceMs: () => graceMs(task, lost, parts),
      before: before.undo,
      containers: async () => [container, before.container],
    },
    parts,
  )
  const steps = {}
  const run = async (): Promise<Running> => {
    parts.room?.adopt(instance, task)
    const until = lost ? AbortSignal.any([signal, lost]) : signal
    await wakeCompanions(instance, task, parts, stepper(instance, parts, steps, until), until)
    const started = await startContainer(task, container, parts, steps, until)
    void stopped.then(() => parts.runtime.remove(before.container)).catch(() => undefined) // it is undone with this one, or as a stray
    return { task, container, undo, lost, readyAt: parts.clock.now(), ...started }
  }
  return { undo, steps, running: run() }
}
