import { isDeepStrictEqual } from 'node:util'
import type { TaskDefinition } from '../model/task.ts'

/**
 * Whether the next revision of an app differs from the one that runs in nothing but what `besides` makes the same in both, so that the
 * container can go on. False where it cannot be told.
 */
export function isSameBut(
  runs: TaskDefinition,
  next: TaskDefinition,
  besides: (task: TaskDefinition) => Partial<TaskDefinition>,
): boolean {
  // What was taken over from an earlier run of the node has the fields of the newest revision: nothing can be told of it.
  if (runs.createdAt === next.createdAt) return false
  if (next.pinned !== undefined && next.pinned.id !== runs.pinned?.id) return false
  return isDeepStrictEqual(compared(runs, besides), compared(next, besides))
}

function compared(task: TaskDefinition, besides: (task: TaskDefinition) => Partial<TaskDefinition>): unknown {
  const { revision: _, createdAt: _at, pinned: _image, made: _made, port, ...rest } = task
  // What runs has the port that its image exposes, where its definition leaves it to the image.
  return JSON.parse(JSON.stringify({ ...rest, ...(rest.portFrom === undefined && { port }), ...besides(task) }))
}
