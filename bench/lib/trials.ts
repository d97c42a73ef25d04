import type { Row, Samples } from './bench.ts'
import { rowOf } from './bench.ts'
import { type Load, load, type Outcome } from './load.ts'
import { usageOf } from './process-tree.ts'

/** One proxy under one load. The load is read anew in each round. */
export type Trial = { readonly name: string; readonly pid: number; readonly load: Load }

/** The figures of each trial, in this order, with their units. */
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
 * The CPU time that a peer spends on the load before it is measured, so that its code is compiled: Node takes some 30,000 small requests.
 * It is
 * CPU time because on a shared machine, a second may be few requests.
 */
export const WARM_CPU_US = 4e6
const MOST_WARM_RUNS = 10

type Given = {
  readonly core: number
  readonly rounds: number
  /** Each trial runs at least once before it counts. */
  readonly warmCpuUs: number
}

/** Measures the trials in turn, round after round, in alternating order. */
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

/** The name of a trial's figure among the samples. */
export function sampleOf(trial: string, figure: Figure = 'cpu per request'): string {
  return `${trial}: ${figure}`
}

/** The rows of a trial in the report. */
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
  // Connections that are cut at the end of the run may count as failed; more failures make the measurement invalid.
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
