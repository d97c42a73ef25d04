import { crc32 } from 'node:zlib'

/** A line of a journal that `test/tools/apps/chaos.mjs` wrote. */
type Line = { readonly kind: string; readonly run: string; readonly at: number; readonly id: string }

/** What the journal of one app says. */
export type Verdict = {
  readonly app: string
  /** Requests that were answered with 200, and are not in the journal. */
  readonly lostAppends: readonly string[]
  /** Requests that were sent once, and are in the journal more than once. */
  readonly repeated: readonly string[]
  /** A line for people about each run that wrote when another one was at it. */
  readonly overlaps: readonly string[]
  readonly runs: number
  readonly lines: number
  /** Lines that are damaged. Such a line is half written, by a run that was killed. */
  readonly torn: number
}

/** Judges a journal. `acknowledged`: the ids of the requests that were answered with 200. */
export function judge(app: string, text: string, acknowledged: readonly string[]): Verdict {
  const lines = text.split('\n').filter(Boolean)
  const whole = lines.flatMap(line => parsed(line) ?? [])
  const ids = whole.filter(({ kind }) => kind === 'append').map(({ id }) => id)
  const written = new Set(ids)
  return {
    app,
    lostAppends: acknowledged.filter(id => !written.has(id)),
    repeated: ids.filter((id, at) => ids.indexOf(id) < at),
    overlaps: overlapsIn(whole),
    runs: new Set(whole.map(({ run }) => run)).size,
    lines: lines.length,
    torn: lines.length - whole.length,
  }
}

/**
 * Runs whose lines are not in one piece, or that wrote before the run above them had written its last line by the clock, which all
 * containers share.
 */
function overlapsIn(lines: readonly Line[]): string[] {
  const overlaps: string[] = []
  const over = new Set<string>()
  let last: Line | undefined
  for (const line of lines) {
    if (last !== undefined && line.run !== last.run) {
      over.add(last.run)
      if (over.has(line.run)) overlaps.push(`${line.run} wrote after ${last.run} had begun`)
      else if (line.at < last.at)
        overlaps.push(`${line.run} began ${last.at - line.at} ms before the end of ${last.run}`)
    }
    last = line
  }
  return overlaps
}

function parsed(line: string): Line | undefined {
  const text = line.slice(9)
  if (crc32(text).toString(16).padStart(8, '0') !== line.slice(0, 8)) return undefined
  const [kind = '', run = '', at = '', id = ''] = text.split(' ')
  return { kind, run, at: Number(at), id }
}
