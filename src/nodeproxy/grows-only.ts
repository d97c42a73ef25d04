import { isDeepStrictEqual } from 'node:util'
import { toBytes } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'

/** Whether the next revision only makes the volume of the app larger. */
export function growsOnly(runs: TaskDefinition, next: TaskDefinition): boolean {
  // What was taken over from an earlier run of the node has the fields of the newest revision: nothing can be told of it.
  if (runs.createdAt === next.createdAt) return false
  if (runs.volume === undefined || next.volume === undefined) return false
  if (toBytes(next.volume.size) <= toBytes(runs.volume.size)) return false
  if (next.pinned !== undefined && next.pinned.id !== runs.pinned?.id) return false
  return isDeepStrictEqual(withoutSize(runs), withoutSize(next))
}

// What runs has the port that its image exposes, where its definition leaves it to the image.
const withoutSize = ({ revision: _, createdAt: _at, pinned: _image, volume, port, ...rest }: TaskDefinition): unknown =>
  JSON.parse(
    JSON.stringify({ ...rest, ...(rest.portFrom === undefined && { port }), volume: { ...volume, size: undefined } }),
  )
