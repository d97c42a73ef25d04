import { cronTimes } from '../../lib/cron.ts'
import { toMs } from '../../model/quantities.ts'
import { MADE_UP_FOR_MS, type Schedule } from '../../model/schedule.ts'

/** A time of a schedule that has come. */
export type Due = {
  readonly tick: string
  /** How many times before it were missed. */
  readonly missed: number
  /** It is too late to make up for it. */
  readonly isTooLate: boolean
}

/** Times that were missed are counted over so long: those of a schedule of every minute over a week would take seconds. */
const COUNTED_OVER_MS = 26 * 3_600_000

/** How long before its time a run begins. */
export const aheadMs = ({ action }: Schedule): number =>
  action.kind === 'wake' && action.ahead !== undefined ? toMs(action.ahead) : 0

/** The next time of a schedule after a moment, in ms since the epoch; undefined: there is none. */
export const nextOf = ({ cron, zone }: Schedule, after: number): number | undefined => cronTimes(cron, zone).next(after)

/**
 * The newest time that has come and that no master has taken; undefined: there is none. Earlier ones were missed, and are not made up for: after
 * an outage an app does not get all its runs at once.
 */
export function dueOf(schedule: Schedule, now: number): Due | undefined {
  const times = cronTimes(schedule.cron, schedule.zone)
  const ahead = aheadMs(schedule)
  const since = Date.parse(schedule.lastTick ?? schedule.createdAt)
  let last = times.next(since)
  if (last === undefined || last - ahead > now) return undefined
  let count = 1
  const from = Math.max(last, now - COUNTED_OVER_MS)
  for (let at = times.next(from); at !== undefined && at - ahead <= now; at = times.next(at)) {
    last = at
    count += 1
  }
  const isTooLate = now - (last - ahead) > MADE_UP_FOR_MS
  return { tick: new Date(last).toISOString(), missed: count - 1, isTooLate }
}
