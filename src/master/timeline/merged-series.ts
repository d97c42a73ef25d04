import type { z } from 'zod'
import type { CallAnswer } from '../../api/call-shape.ts'
import type { historyCalls, SeriesStepSchema } from '../../api/history-calls.ts'
import { quantileMs, sumOfLatencies } from '../../model/request-counts.ts'
import type { SeriesRange } from '../../model/series.ts'

type Step = z.output<typeof SeriesStepSchema>
type Series = Omit<CallAnswer<(typeof historyCalls)['getSeries']>, 'silent'>

/** The series of an app from those of its nodes. `now`: in seconds since 1970. */
export function mergedSeries(
  { from, to, stepSeconds }: SeriesRange,
  ofNodes: readonly (readonly Step[])[],
  now: number,
): Series {
  const steps = new Map<number, Step[]>()
  for (const step of ofNodes.flat()) steps.set(step.at, [...(steps.get(step.at) ?? []), step])
  const times = Array.from({ length: (to - from) / stepSeconds }, (_, at) => from + at * stepSeconds)
  const each = <T>(read: (found: readonly Step[], at: number) => T) => times.map(at => read(steps.get(at) ?? [], at))
  const sum = (of: (step: Step) => number) =>
    each(found => (found.length === 0 ? null : found.reduce((total, step) => total + of(step), 0)))
  const latency = (share: number) => each(found => quantileMs(sumOfLatencies(found.map(one => one.latency)), share))
  return {
    from: iso(from),
    to: iso(to),
    stepSeconds,
    times,
    requests: sum(({ requests }) => requests),
    errors: sum(({ errors }) => errors),
    p50Ms: latency(0.5),
    p95Ms: latency(0.95),
    memoryBytes: ofMeasured(each, ({ memoryBytes }) => (memoryBytes > 0 ? memoryBytes : null)),
    cpuPercent: ofMeasured(each, ({ cpuMs, awakeMs }) => (awakeMs > 0 ? round((100 * cpuMs) / awakeMs) : null)),
    awake: each((found, at) =>
      shareOf(
        found.reduce((total, { awakeMs }) => total + awakeMs, 0),
        at,
        stepSeconds,
        now,
      ),
    ),
  }
}

/** Which share of the step, up to now, the milliseconds are. An app may be awake on several nodes. */
export function shareOf(awakeMs: number, at: number, stepSeconds: number, now: number): number {
  const seconds = Math.min(stepSeconds, Math.max(1, now - at))
  return Math.min(1, Math.round((awakeMs / seconds) * 10) / 10_000)
}

type Each = <T>(read: (found: readonly Step[]) => T) => T[]

/** The sum over the nodes on which it was measured; null: on none. */
function ofMeasured(each: Each, read: (step: Step) => number | null): (number | null)[] {
  return each(found => {
    const values = found.map(read).filter(value => value !== null)
    return values.length === 0 ? null : round(values.reduce((total, value) => total + value, 0))
  })
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000
const iso = (seconds: number): string => new Date(seconds * 1_000).toISOString()
