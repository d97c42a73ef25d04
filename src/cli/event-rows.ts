import { withoutLastLines } from '../model/last-lines.ts'
import { sayMs } from '../model/quantities.ts'
import type { AppEvent } from '../model/timeline.ts'
import { paint, type Terminal } from './terminal.ts'

export const HEADER = ['TIME', 'KIND', 'RELEASE', 'CAUSE', 'OUTCOME', 'TOOK', 'DETAIL']

const LONGEST_CAUSE = 50

/** An event as a row of a table: one line. */
export function eventRow({ at, kind, revision, by, outcome, ms, code, detail }: AppEvent): string[] {
  const says = detail === undefined ? undefined : withoutLastLines(detail).split('\n', 1)[0]
  return [
    at,
    kind,
    revision === undefined ? '-' : String(revision),
    by === undefined ? '-' : by.length > LONGEST_CAUSE ? `${by.slice(0, LONGEST_CAUSE - 1)}…` : by,
    outcome ?? '-',
    ms === undefined ? '-' : sayMs(ms),
    [code, says].filter(Boolean).join(': '),
  ]
}

const WIDTH = 40

/** The steps of a wake, each as a bar at the time at which it ran. */
export function asBars(
  terminal: Terminal,
  app: string,
  { at, node, by, ms, outcome, steps = [], detail }: AppEvent,
): string {
  const took = ms === undefined ? '' : `: ${sayMs(ms)}`
  const head = `${at} ${app}${node === undefined ? '' : ` on ${node}`}, woken by ${by ?? 'nobody known'}${took}${outcome === 'failed' ? ', failed' : ''}\n`
  const end = Math.max(1, ms ?? 0, ...steps.map(one => one.startMs + one.ms))
  const name = Math.max(0, ...steps.map(({ step }) => step.length))
  const lines = steps.map(one => {
    const from = Math.min(WIDTH - 1, Math.floor((one.startMs / end) * WIDTH))
    const length = Math.max(1, Math.min(WIDTH - from, Math.round((one.ms / end) * WIDTH)))
    const bar = `${' '.repeat(from)}${paint(terminal, 'cyan', '█'.repeat(length))}${' '.repeat(WIDTH - from - length)}`
    return `${one.step.padEnd(name)}  ${bar}  ${sayMs(one.ms)}\n`
  })
  return `${head}${lines.join('')}${detail === undefined ? '' : `${detail}\n`}`
}
