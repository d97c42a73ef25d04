import type { PinnedImage, TaskDefinition } from '../model/task.ts'
import { pinnedImageOf } from './pinned-image.ts'
import type { RevisionChoice } from './revision-choice.ts'
import type { Runtime } from './runtime/runtime.ts'

/** The image that a definition names here, and the one that the current revision ran. */
export type Checked = {
  readonly image: PinnedImage | null
  readonly ran: PinnedImage | null
  readonly revision?: number
  readonly rejected?: boolean
}

type Here = {
  /** Whether the instance runs, so that it would be stopped for the new definition. */
  readonly serves: boolean
  readonly revision: Pick<RevisionChoice, 'current' | 'ranImage' | 'rejected'>
  readonly runtime: Pick<Runtime, 'check' | 'findImage'>
}

/** Checks whether a definition can run, if the instance would be stopped for it. Otherwise only finds the image that it names. */
export async function checkDefinition(
  task: TaskDefinition,
  { serves, revision, runtime }: Here,
  signal: AbortSignal,
): Promise<Checked> {
  const image = await (serves ? runtime.check(task, signal) : runtime.findImage(task.image, signal))
  const { current, ranImage, rejected } = revision
  return {
    image: pinnedImageOf(image),
    ran: pinnedImageOf(ranImage),
    revision: current.revision,
    rejected: rejected !== null,
  }
}
