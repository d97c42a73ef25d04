import { isFailure, type ShadowError } from '../lib/errors.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Known } from './revisions.ts'

type Revision = { readonly revision: number; readonly createdAt: string }

export const isSame = (one: Revision | undefined, other: Revision): boolean =>
  one !== undefined && one.revision === other.revision && one.createdAt === other.createdAt

/** Failures of a revision, and not of this machine: with them the revision before is better than nothing. */
export const isOfRevision = (problem: unknown): problem is ShadowError =>
  isFailure(problem, 'app-crashed', 'app-not-ready', 'command-not-found', 'definition-refused', 'image-not-found')

/** What to run of an app: its current revision, or the last good one where the current one is known to be bad. */
export function toRun(current: TaskDefinition, { good, bad }: Known): TaskDefinition {
  if (good === undefined) return current
  // A revision runs the image that it ran first, whatever its tag names by now.
  if (isSame(good, current)) return current.pinned === undefined ? { ...current, pinned: good.pinned } : current
  if (bad === undefined || !isSame(bad, current)) return current
  // A volume that was made larger since is not made smaller again.
  const { volume } = good
  return volume === undefined ? good : { ...good, volume: { ...volume, size: current.volume?.size ?? volume.size } }
}
