import type { PinnedImage, TaskDefinition } from '../model/task.ts'
import type { ImageFacts } from './runtime/runtime.ts'

/** The image alone, without the permit to read it; null where there is none. */
export const pinnedImageOf = (image: PinnedImage | undefined): PinnedImage | null =>
  image === undefined ? null : { id: image.id, ...(image.digest !== undefined && { digest: image.digest }) }

/** The definition with what its image says: pinned to it, and with the port that it exposes where none was given. */
export function pinnedTo(task: TaskDefinition, { id, digest, ports }: ImageFacts): TaskDefinition {
  const [port, ...others] = ports
  return {
    ...task,
    pinned: { ...(task.pinned?.permit !== undefined && { permit: task.pinned.permit }), id, digest },
    ...(task.portFrom === 'image' && port !== undefined && others.length === 0 && { port }),
  }
}
