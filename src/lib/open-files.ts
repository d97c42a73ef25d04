import { readFileSync } from 'node:fs'
import type { Log } from './log.ts'

/** How many files this process may have open (RLIMIT_NOFILE; Node has raised it as far as it may); undefined where that is not told. */
export function mostOpenFiles(): number | undefined {
  try {
    const found = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
    return found === null ? undefined : Number(found[1])
  } catch {
    return undefined // no Linux, or no /proc
  }
}

/** What is kept back for files that are no connections of clients: logs, storage, pools. */
const KEPT_BACK = 512

/** Of `wanted` connections of clients, as many as can be open with so many files: beyond them everything else would fail, too. */
export function connectionsWithin(wanted: number, files: number): number {
  return Math.min(wanted, Math.max(files - KEPT_BACK, Math.floor(files / 3)))
}

/** The same with the limit of this process; fewer than wanted are logged, with the mend. */
export function connectionsHere(wanted: number, log: Log): number {
  const files = mostOpenFiles() ?? Number.POSITIVE_INFINITY
  const connections = connectionsWithin(wanted, files)
  if (connections < wanted)
    log.info('fewer connections than set', { wanted, connections, files, hint: 'raise ulimit -Hn, or LimitNOFILE' })
  return connections
}
