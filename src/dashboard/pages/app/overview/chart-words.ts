import type { CallAnswer } from '../../../../api/call-shape.ts'
import type { historyCalls } from '../../../../api/history-calls.ts'

export type Series = CallAnswer<(typeof historyCalls)['getSeries']>
export type Values = readonly (number | null)[]

/** How far back charts reach, and in how many steps at most. */
export const RANGES = [
  { name: 'hour', text: 'Hour', seconds: 3_600, points: 120, everyMs: 10_000 },
  { name: 'day', text: 'Day', seconds: 86_400, points: 288, everyMs: 60_000 },
  { name: 'week', text: 'Week', seconds: 7 * 86_400, points: 168, everyMs: 300_000 },
  { name: 'month', text: 'Month', seconds: 30 * 86_400, points: 360, everyMs: 600_000 },
] as const
export type Range = (typeof RANGES)[number]

/** The last and the highest of the values, for those who do not see the picture. */
export function sayValues(
  values: Values,
  times: readonly number[],
  say: (value: number) => string,
  at: (seconds: number) => string,
): string {
  const last = values.findLastIndex(value => value !== null)
  if (last < 0) return 'nothing measured'
  let highest = last
  for (const [index, value] of values.entries()) if (value !== null && value > (values[highest] ?? 0)) highest = index
  const sayAt = (index: number): string => `${say(values[index] ?? 0)} at ${at(times[index] ?? 0)}`
  return `last ${sayAt(last)}, highest ${sayAt(highest)}`
}

/** For how much of the time of the series the app was awake. */
export function sayAwake(
  { awake, stepSeconds }: Pick<Series, 'awake' | 'stepSeconds'>,
  say: (seconds: number) => string,
): string {
  const seconds = awake.reduce((sum, share) => sum + share, 0) * stepSeconds
  return `awake for ${say(seconds)} of ${say(awake.length * stepSeconds)}`
}
