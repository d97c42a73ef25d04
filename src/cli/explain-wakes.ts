import type { InstanceView } from '../model/instance.ts'
import { sayMs } from '../model/quantities.ts'

const MOST_SHOWN = 10

/** Which requests did not wake the app, and why. */
export function sayNotWoken({ notWoken = [] }: InstanceView): readonly string[] {
  if (notWoken.length === 0) return []
  const all = notWoken.reduce((sum, { count }) => sum + count, 0)
  const lines = notWoken
    .slice(0, MOST_SHOWN)
    .map(({ by, count, at, what }) => `  ${by}: ${count}, the last at ${at}: ${what}`)
  const more = notWoken.length - lines.length
  return [
    `Requests that did not wake it since its node started: ${all}, by`,
    ...lines,
    ...(more > 0 ? [`  and ${more} other reasons`] : []),
  ]
}

/** When a dry run would have put the app to sleep. */
export function sayDrySleeps({ drySleeps }: InstanceView): readonly string[] {
  if (drySleeps === undefined) return []
  const { count, at, why, asleepMs } = drySleeps
  const times = count === 1 ? 'once' : `${count} times`
  return [
    `By its dry run (--sleep-dry-run) it would have gone to sleep ${times} since its node started, the last time at ${at}: ${why}. Before its uses since, it would have been asleep for ${sayMs(asleepMs)} in all.`,
  ]
}
