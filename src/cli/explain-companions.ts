import type { App } from '../model/app.ts'
import type { InstanceView } from '../model/instance.ts'

/** The apps that it uses, and those that use it. */
export function sayCompanions({ task, usedBy = [] }: App, { companions = [] }: InstanceView): readonly string[] {
  const missing = companions.filter(({ isHeld }) => !isHeld)
  return [
    ...(task.uses === undefined
      ? []
      : [`It uses ${task.uses.join(', ')}, which wakes before it and sleeps after it (shadow detach).`]),
    ...missing.map(({ app, problem }) => `  ${app} is not awake now${problem === undefined ? '' : `: ${problem}`}`),
    ...(usedBy.length === 0 ? [] : [`It is used by ${usedBy.join(', ')}: it wakes before, and sleeps after.`]),
  ]
}

/** Connections to a port on which the app does not listen. */
export function badConnection({ badConnection: last }: InstanceView): readonly string[] {
  if (last === undefined) return []
  const often = last.count === 1 ? 'A connection to it was refused' : `${last.count} connections were refused, the last`
  return [`${often} at ${last.at}: ${last.fault}.`]
}
