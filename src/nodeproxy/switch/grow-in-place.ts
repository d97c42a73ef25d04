import { asShadowError } from '../../lib/errors.ts'
import { toBytes } from '../../model/quantities.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { growsOnly } from '../grows-only.ts'
import { changeInPlace, type InPlaceParts } from './in-place.ts'

/**
 * Makes the volume larger while the app runs on, where the revision changes nothing else; false where the app has to be replaced. A volume
 * that cannot become so large is used as it is, as after a wake.
 */
export function growInPlace(task: TaskDefinition, of: InPlaceParts): Promise<boolean> {
  const { id, parts } = of
  return changeInPlace(task, of, {
    only: growsOnly,
    async make() {
      const { volume } = task
      if (volume === undefined) return undefined
      const driver = parts.volumes.of(volume)
      if (driver.growAttached === undefined) return undefined
      try {
        const device = await driver.growAttached(volume.id, toBytes(volume.size), new AbortController().signal)
        if (!(await parts.filesystem.growMounted(volume.id, device))) return undefined
        parts.journal(id, `volume grown to ${volume.size} while the app ran`)
      } catch (error) {
        const { message, details } = asShadowError(error)
        const hint = details.hint === undefined ? '' : ` (${details.hint})`
        parts.journal(id, `volume not grown to ${volume.size}, and used as it is: ${message}${hint}`)
      }
      return { volume }
    },
  })
}
