import type { App } from '../model/app.ts'
import type { InstanceView } from '../model/instance.ts'
import { sayScale } from '../model/scale.ts'

/** Says how many instances of the app there are, where, and why; nothing for an app that has one at most. */
export function sayScaling({ scale }: App, instances: readonly InstanceView[]): readonly string[] {
  if (scale === undefined) return []
  const awake = instances.filter(({ phase }) => phase === 'awake').length
  return [
    `Its rules: ${sayScale(scale)} (shadow scale). ${awake} ${awake === 1 ? 'is' : 'are'} awake${instances.length > 0 ? ':' : '.'}`,
    ...instances.map(
      ({ instance, phase, node, wokenBy }) =>
        `  ${instance} is ${phase} on ${node}${wokenBy === null ? '' : `, woken by ${wokenBy}`}`,
    ),
  ]
}
