import type { PinnedImage, TaskDefinition } from '../model/task.ts'
import type { ImageFacts } from './runtime/runtime.ts'

/** The image alone; null where there is none. */
export const pinnedImageOf = (image: ImageFacts | undefined): PinnedImage | null =>
  image === undefined ? null : { id: image.id, ...(image.digest !== undefined && { digest: image.digest }) }

/** The definition with what its image says: pinned to it, and with the port that it exposes where none was given. */
export function pinnedTo(task: TaskDefinition, { id, digest, ports }: ImageFacts): TaskDefinition {
  const [port, ...others] = ports
  return {
    ...task,
    pinned: { id, digest },
    ...(task.portFrom === 'image' && port !== undefined && others.length === 0 && { port }),
  }
}
