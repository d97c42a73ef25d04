import type { InstanceView } from '../model/instance.ts'

/** The stages of a wake: `312 ms: lease 2, attach 9, mount 5, create 12, start 240, ready 31`. */
export function saySteps({ ms, steps }: NonNullable<InstanceView['lastWake']>): string {
  const stages = Object.entries(steps).map(([step, took]) => `${step} ${Math.round(took)}`)
  return `${Math.round(ms)} ms${stages.length > 0 ? `: ${stages.join(', ')}` : ''}`
}
