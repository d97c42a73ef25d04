import { ShadowError } from '../../../lib/errors.ts'
import { namesDomains } from '../../../model/egress.ts'
import type { AppName } from '../../../model/names.ts'
import type { TaskDefinition } from '../../../model/task.ts'
import { hasWire } from '../wire-mount.ts'

export const notParkable = (app: AppName, why: string): ShadowError =>
  new ShadowError('not-parkable', `${app} cannot be parked: ${why}`)

/** Why an app of this definition is never parked; undefined: as far as its definition says, it may be. */
export function whyNotParkable(task: TaskDefinition): string | undefined {
  if (task.uses !== undefined) return 'it uses other apps'
  if (namesDomains(task.egress ?? [])) return 'its egress names domains'
  if (hasWire(task)) return 'its requests get secrets from the node'
  if (task.ready.kind === 'healthcheck') return 'Docker would check its health before it runs'
  return undefined
}
