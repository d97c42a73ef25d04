import type { InstanceId } from '../../model/instance-id.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { InstanceParts } from '../instance-parts.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { RevisionChoice } from '../revision-choice.ts'
import type { Running } from '../running-container.ts'

export type InPlaceParts = {
  readonly id: InstanceId
  readonly parts: InstanceParts
  readonly life: Lifecycle
  readonly revision: RevisionChoice
}

type Change = {
  /** Whether the next revision changes nothing else. */
  readonly only: (runs: TaskDefinition, next: TaskDefinition) => boolean
  /** Changes what runs. Resolves with the fields that it has by the next revision now; undefined: the app has to be replaced. */
  readonly make: (running: Running) => Promise<Partial<TaskDefinition> | undefined>
}

/** Makes a change by the next revision while the app runs on, where the revision changes nothing else; false where the app has to be replaced. */
export async function changeInPlace(
  task: TaskDefinition,
  { life, revision }: InPlaceParts,
  { only, make }: Change,
): Promise<boolean> {
  if (life.state.phase !== 'awake' || !only(life.state.running.task, task)) return false
  return life.turn.take(async () => {
    const { state } = life
    if (state.phase !== 'awake' || task !== revision.current || !only(state.running.task, task)) return false
    const changed = await make(state.running)
    if (changed === undefined) return false
    const { revision: number, createdAt } = task
    state.running.task = { ...state.running.task, revision: number, createdAt, ...changed }
    revision.ranWell(state.running.task)
    return true
  })
}
