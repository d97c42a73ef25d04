import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'

/**
 * One measured case: `measure` runs it once and returns the figure in `unit`. Other figures of the same run go to `also`,
 * each under a name of its own.
 */
export type Case = {
  readonly name: string
  readonly unit: string
  readonly measure: (also: Also) => number | Promise<number>
}

export type Also = (name: string, figure: number) => void

/** `p25` and `p75` show the spread around the median. */
export type Row = {
  readonly case: string
  readonly unit: string
  readonly p50: number
  readonly p95: number
  readonly p25: number
  readonly p75: number
  readonly n: number
}

/** An aim: a ratio or a count of this run. For a ratio of medians, `low` and `high` are the middle half of the ratios of the rounds. */
export type Aim = {
  readonly id: string
  readonly value: number
  readonly limit: number
  readonly met: boolean
  readonly low?: number
  readonly high?: number
}

export type Report = {
  readonly bench: string
  readonly machine: { readonly cores: number; readonly node: string; readonly docker?: string }
  readonly rounds: number
  readonly rows: readonly Row[]
  readonly aims: readonly Aim[]
  /** What each case measures, if its name does not say it. */
  readonly notes?: readonly string[]
}

/** The samples of each case by name: one list for each round. */
export type Samples = ReadonlyMap<string, readonly (readonly number[])[]>

/** The flags of every bench, and numbers of this one by their names. */
export function benchFlags<Name extends string = never>(
  defaults: { rounds: number },
  numbers = {} as Readonly<Record<Name, number>>,
): { json: boolean; rounds: number } & Record<Name, number> {
  const names = Object.keys(numbers) as Name[]
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      ...Object.fromEntries(names.map(name => [name, { type: 'string' } as const])),
    },
  })
  const given = new Map<string, unknown>(Object.entries(values))
  const numberOf = (name: string, usual: number): number => {
    const number = Number(given.get(name) ?? usual)
    if (!Number.isInteger(number) || number < 1)
      throw new Error(`--${name} ${given.get(name)}: not a whole number from 1 on`)
    return number
  }
  const own = Object.fromEntries(names.map(name => [name, numberOf(name, numbers[name])])) as Record<Name, number>
  return { json: values.json === true, rounds: numberOf('rounds', defaults.rounds), ...own }
}

/** Keeps this process, and the processes it starts from now on, on one core, so that peers and ours run on the same one. */
export function pinTo(core: number): void {
  execFileSync('/usr/bin/taskset', ['-p', '-c', String(core), String(process.pid)], { stdio: 'ignore' })
}

/** Measures the cases in turn, round after round, in alternating order. One round before the first does not count. */
export async function interleave(
  cases: readonly Case[],
  { rounds, times = 1 }: { rounds: number; times?: number },
): Promise<Samples> {
  const samples = new Map<string, number[][]>()
  for (let round = -1; round < rounds; round++) {
    const turned = round % 2 === 0 ? cases : cases.toReversed()
    const keep: Also = (name, figure) => {
      if (round < 0) return
      const ofRounds = samples.get(name) ?? Array.from({ length: rounds }, () => [])
      samples.set(name, ofRounds)
      ofRounds[round]?.push(figure)
    }
    for (let time = 0; time < times; time++) for (const { name, measure } of turned) keep(name, await measure(keep))
  }
  return samples
}

/** The row of a case in the report. */
export function rowOf({ name, unit }: Pick<Case, 'name' | 'unit'>, samples: Samples): Row {
  const all = (samples.get(name) ?? []).flat()
  return {
    case: name,
    unit,
    p50: round(quantile(all, 0.5)),
    p95: round(quantile(all, 0.95)),
    p25: round(quantile(all, 0.25)),
    p75: round(quantile(all, 0.75)),
    n: all.length,
  }
}

/** The ratio of our median to the peer's, with the middle half of the ratios of the rounds. */
export function ratioAim(id: string, limit: number, samples: Samples, ours: string, peer: string): Aim {
  const median = (name: string): number => quantile((samples.get(name) ?? []).flat(), 0.5)
  return { ...countAim(id, limit, median(ours) / median(peer)), ...spreadOf(ratiosOf(samples, ours, peer)) }
}

function ratiosOf(samples: Samples, ours: string, peer: string): number[] {
  const peers = samples.get(peer) ?? []
  return (samples.get(ours) ?? []).map((round, at) => quantile(round, 0.5) / quantile(peers[at] ?? [], 0.5))
}

const spreadOf = (ratios: readonly number[]): { low: number; high: number } => ({
  low: round(quantile(ratios, 0.25)),
  high: round(quantile(ratios, 0.75)),
})

/**
 * The median of the ratios of ours to the peer's, one for each round. A slow phase of a shared machine slows both in a round, so it cancels
 * out.
 */
export function pairedAim(id: string, limit: number, samples: Samples, ours: string, peer: string): Aim {
  const ratios = ratiosOf(samples, ours, peer)
  return { ...countAim(id, limit, quantile(ratios, 0.5)), ...spreadOf(ratios) }
}

/** The row of a figure that was measured once. */
export function rowOfOne(name: string, unit: string, figure: number): Row {
  const value = round(figure)
  return { case: name, unit, p50: value, p95: value, p25: value, p75: value, n: 1 }
}

/** A figure of this run and its limit. */
export function countAim(id: string, limit: number, value: number): Aim {
  return { id, value: round(value), limit, met: value <= limit }
}

/** The value below which this part of the values lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * part
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}

/** The machine on which the figures were measured. */
export function machine(): Report['machine'] {
  const docker = dockerVersion()
  return { cores: cpus().length, node: process.versions.node, ...(docker !== undefined && { docker }) }
}

function dockerVersion(): string | undefined {
  try {
    const args = ['version', '--format', '{{.Server.Version}}']
    return execFileSync('docker', args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 8_000,
    }).trim()
  } catch {
    return undefined // a bench that needs Docker reports that itself
  }
}

/** Prints the report: one JSON object, or tables. */
export function print(report: Report, json: boolean): void {
  if (json) {
    console.log(JSON.stringify(report))
    return
  }
  const { cores, node, docker } = report.machine
  console.log(`${report.bench}: ${report.rounds} rounds on ${cores} cores, Node ${node}, Docker ${docker ?? '-'}`)
  console.table(Object.fromEntries(report.rows.map(({ case: name, ...figures }) => [name, figures])))
  if (report.aims.length > 0) console.table(Object.fromEntries(report.aims.map(({ id, ...figures }) => [id, figures])))
  for (const note of report.notes ?? []) console.log(note)
}

const round = (value: number): number => Number(value.toPrecision(4))
