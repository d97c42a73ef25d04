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

/**
 * What a peer spends on the load before it is measured, so that its compiler is done: Node's takes some 30,000 small requests. In time of
 * the processor, as on a machine that others use too a second may be few requests.
 */
export const WARM_CPU_US = 4e6
const MOST_WARM_RUNS = 10

type Given = {
  readonly core: number
  readonly rounds: number
  /** Each trial is run at least once before it counts. */
  readonly warmCpuUs: number
}

/** Takes the trials by turns, round after round, the order turning too. */
export async function takeTrials(
  trials: readonly Trial[],
  { core, rounds, warmCpuUs }: Given,
  into: Map<string, number[][]>,
): Promise<void> {
  for (const trial of trials) await warm(trial, core, warmCpuUs)
  for (let round = 0; round < rounds; round++)
    for (const trial of round % 2 === 0 ? trials : trials.toReversed())
      for (const [figure, value] of Object.entries(await take(trial, core))) {
        const name = sampleOf(trial.name, figure as Figure)
        into.set(name, [...(into.get(name) ?? []), [value]])
      }
}

async function warm({ pid, load: wanted }: Trial, core: number, cpuUs: number): Promise<void> {
  const { cpuUs: before } = await usageOf(pid)
  for (let run = 0; run < MOST_WARM_RUNS; run++) {
    await load(core, wanted)
    if ((await usageOf(pid)).cpuUs - before >= cpuUs) return
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
