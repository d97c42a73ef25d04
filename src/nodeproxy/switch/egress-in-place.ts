import { logFields } from '../../model/instance-id.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { changesEgressOnly } from '../egress-only.ts'
import { changeInPlace, type InPlaceParts } from './in-place.ts'

/** Changes what the app may reach while it runs on, where the revision changes nothing else; false where the app has to be replaced. */
export function changeEgressInPlace(task: TaskDefinition, of: InPlaceParts): Promise<boolean> {
  const { id, parts } = of
  return changeInPlace(task, of, {
    only: changesEgressOnly,
    async make({ container }) {
      const egress = task.egress ?? []
      try {
        await parts.runtime.setEgress(container, egress)
      } catch (cause) {
        parts.log.warn('egress not changed while the app runs', { ...logFields(id), cause })
        return undefined // a container that is started by the new rules tells what is wrong
      }
      parts.journal(id, `what it may reach was changed while the app ran: ${egress.join(', ') || 'the internet'}`)
      return { egress: task.egress }
    },
  })
}
