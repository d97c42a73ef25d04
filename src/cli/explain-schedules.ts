import { type Schedule, sayAction } from '../model/schedule.ts'

export type ShownSchedule = Schedule & { readonly next: string | null }

/** A schedule in one line: what it does, when, and how its last run ended. */
export function saySchedule({ id, cron, zone, action, next, runs: [last] }: ShownSchedule): string {
  const before = last === undefined ? '' : `; the last run: ${last.outcome}, of ${last.tick}`
  return `${id} "${cron}" ${zone}: ${sayAction(action)}, next at ${next ?? 'no time'}${before}`
}

/** What schedules will do with the app next, and which runs of them went wrong. */
export function saySchedules(schedules: readonly ShownSchedule[]): readonly string[] {
  const [next] = schedules
    .filter(one => one.next !== null)
    .toSorted((a, b) => (a.next ?? '').localeCompare(b.next ?? ''))
  const wrong = schedules.filter(
    ({ runs: [last] }) => last !== undefined && !['done', 'running', 'skipped'].includes(last.outcome),
  )
  return [
    ...(next === undefined ? [] : [`Its next schedule is ${saySchedule(next)}.`]),
    ...wrong.map(
      ({ id, runs: [last] }) =>
        `The last run of its schedule ${id} is ${last?.outcome}: shadow schedule runs tells more.`,
    ),
  ]
}
