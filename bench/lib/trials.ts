import type { Row, Samples } from './bench.ts'
import { rowOf } from './bench.ts'
import { type Load, load, type Outcome } from './load.ts'
import { usageOf } from './process-tree.ts'

/** One proxy under one load. `loads` is asked anew each round. */
export type Trial = { readonly name: string; readonly pid: number; readonly load: Load }

/** What is taken of each trial, in this order, and the unit. */
const FIGURES = {
  'cpu per request': 'µs',
  'user cpu per request': 'µs',
  'per second': '1/s',
  p50: 'µs',
  p99: 'µs',
  rss: 'MB',
} as const
type Figure = keyof typeof FIGURES

/** Takes the trials by turns, round after round, the order turning too; one round before the first does not count. */
export async function takeTrials(
  trials: readonly Trial[],
  core: number,
  rounds: number,
  into: Map<string, number[][]>,
): Promise<void> {
  for (let round = -1; round < rounds; round++)
    for (const trial of round % 2 === 0 ? trials : trials.toReversed()) {
      const figures = await take(trial, core)
      if (round < 0) continue
      for (const [figure, value] of Object.entries(figures)) {
        const name = sampleOf(trial.name, figure as Figure)
        into.set(name, [...(into.get(name) ?? []), [value]])
      }
    }
}

/** The name under which a trial's figure stands among the samples. */
export function sampleOf(trial: string, figure: Figure = 'cpu per request'): string {
  return `${trial}: ${figure}`
}

/** The rows of a trial. */
export function rowsOf(trial: string, samples: Samples): Row[] {
  return Object.entries(FIGURES).map(([figure, unit]) =>
    rowOf({ name: sampleOf(trial, figure as Figure), unit }, samples),
  )
}

async function take({ name, pid, load: wanted }: Trial, core: number): Promise<Record<Figure, number>> {
  const before = await usageOf(pid)
  const outcome: Outcome = await load(core, wanted)
  const after = await usageOf(pid)
  const { done, failed, seconds, p50Us, p99Us } = outcome
  // A connection that the end of the run cuts may count as failed; more than that is no measurement.
  if (failed > done / 1_000 + wanted.connections)
    throw new Error(`${name}: ${failed} of ${done + failed} requests failed`)
  return {
    'cpu per request': (after.cpuUs - before.cpuUs) / done,
    'user cpu per request': (after.userUs - before.userUs) / done,
    'per second': done / seconds,
    p50: p50Us,
    p99: p99Us,
    rss: after.rssKiB / 1_024,
  }
}
