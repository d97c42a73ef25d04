import { asShadowError } from '../../lib/errors.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import { toBytes } from '../../model/quantities.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { growsOnly } from '../grows-only.ts'
import type { InstanceParts } from '../instance-parts.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { RevisionChoice } from '../revision-choice.ts'

type Parts = {
  readonly id: InstanceId
  readonly parts: InstanceParts
  readonly life: Lifecycle
  readonly revision: RevisionChoice
}

/**
 * Makes the volume larger while the app runs on, where the revision changes nothing else; false where the app has to be replaced. A volume
 * that cannot become so large is used as it is, as after a wake.
 */
export async function growInPlace(task: TaskDefinition, { id, life, revision, parts }: Parts): Promise<boolean> {
  if (life.state.phase !== 'awake' || !growsOnly(life.state.running.task, task)) return false
  return life.turn.take(async () => {
    const { state } = life
    const { volume } = task
    if (state.phase !== 'awake' || task !== revision.current || volume === undefined) return false
    if (!growsOnly(state.running.task, task)) return false
    const driver = parts.volumes.of(volume)
    if (driver.growAttached === undefined) return false
    try {
      const device = await driver.growAttached(volume.id, toBytes(volume.size), new AbortController().signal)
      if (!(await parts.filesystem.growMounted(volume.id, device))) return false
      parts.journal(id, `volume grown to ${volume.size} while the app ran`)
    } catch (error) {
      const { message, details } = asShadowError(error)
      const hint = details.hint === undefined ? '' : ` (${details.hint})`
      parts.journal(id, `volume not grown to ${volume.size}, and used as it is: ${message}${hint}`)
    }
    const { revision: number, createdAt } = task
    state.running.task = { ...state.running.task, revision: number, createdAt, volume }
    revision.ranWell(state.running.task)
    return true
  })
}
