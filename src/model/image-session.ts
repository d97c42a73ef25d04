import { type AppName, appName } from './names.ts'
import { type Scope, widestBeginning } from './scope.ts'
import { LONGEST_TEMPLATE_NAME } from './session.ts'

const SUFFIX = '-from-image'
const OF_ADMINS = 'shadow'

/**
 * What takes the place of a template's name in the names of sessions that are made from an image: it is among the names of the caller's apps, so
 * that its sessions are the caller's. undefined: the caller may name no new apps, or not with so long a beginning.
 */
export function imageTemplateOf(scope: Scope | undefined): AppName | undefined {
  const beginning = scope === undefined ? OF_ADMINS : widestBeginning(scope)
  if (beginning === undefined) return undefined
  const name = `${beginning.replace(/-$/, '')}${SUFFIX}`
  return name.length > LONGEST_TEMPLATE_NAME ? undefined : appName(name)
}

/** Whether the name is kept free for sessions that are made from images. */
export const isImageTemplate = (name: string): boolean => name.endsWith(SUFFIX)
