import { toBytes } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { isSameBut } from './same-but.ts'

/** Whether the next revision only makes the volume of the app larger. */
export function growsOnly(runs: TaskDefinition, next: TaskDefinition): boolean {
  if (runs.volume === undefined || next.volume === undefined) return false
  if (toBytes(next.volume.size) <= toBytes(runs.volume.size)) return false
  const { size } = next.volume
  return isSameBut(runs, next, ({ volume }) => ({ volume: volume && { ...volume, size } }))
}
