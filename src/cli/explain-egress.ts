import type { App } from '../model/app.ts'
import { egress, NOT_NAMED } from '../model/egress.ts'
import type { InstanceView, RefusedName } from '../model/instance.ts'

/** The hosts that were refused to the app because of their names, each in a sentence. */
export function sayRefusedNames(app: Pick<App, 'name'>, { refusedNames = [] }: InstanceView): readonly string[] {
  if (refusedNames.length === 0) return []
  const sentences = refusedNames.map(({ to, why, at, count }) => {
    const often = count === 1 ? `at ${at}` : `${count} times, the last at ${at}`
    return `Egress to ${to} was refused ${often}: ${why}.`
  })
  const host = refusedNames.map(allowanceFor).findLast(one => one !== undefined)
  if (host === undefined) return sentences
  return [...sentences, `To allow ${host}: shadow egress add ${app.name} ${host}`]
}

/** What would let the app reach the host; undefined if no name would. */
function allowanceFor({ to, why }: RefusedName): string | undefined {
  if (why !== NOT_NAMED) return undefined
  try {
    const allowance = egress(to.replace(/:(80|443)$/, ''))
    return /[a-z]/.test(allowance) ? allowance : undefined
  } catch {
    return undefined // it is no hostname
  }
}
