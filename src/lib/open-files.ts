import { readFileSync } from 'node:fs'
import type { Log } from './log.ts'

/** How many files this process may have open (RLIMIT_NOFILE; Node has raised it as far as it may); undefined where that is not told. @internal */
export function mostOpenFiles(): number | undefined {
  try {
    const found = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
    return found === null ? undefined : Number(found[1])
  } catch {
    return undefined // no Linux, or no /proc
  }
}

/** What is kept back for files that are no sockets of clients and upstreams: calls of the master, Docker, logs, storage. */
const KEPT_BACK = 512
/** Of the sockets, those of clients: the rest is for upstreams alone. */
const OF_CLIENTS = 0.75

/** How many sockets of clients and of upstreams may be open together, and how many of clients, where so many are wanted. */
export type SocketLimits = { readonly sockets: number; readonly connections: number }

/** The limits with so many files: beyond them everything else would fail, too. @internal */
export function socketsWithin(wanted: number, files: number): SocketLimits {
  const sockets = Math.max(files - KEPT_BACK, Math.floor(files / 3))
  return { sockets, connections: Math.min(wanted, Math.max(1, Math.floor(sockets * OF_CLIENTS))) }
}

/** The same with the limit of this process; fewer connections of clients than wanted are logged, with the mend. */
export function socketsHere(wanted: number, log: Log): SocketLimits {
  const files = mostOpenFiles() ?? Number.POSITIVE_INFINITY
  const limits = socketsWithin(wanted, files)
  const { connections } = limits
  if (connections < wanted)
    log.info('fewer connections than set', { wanted, connections, files, hint: 'raise ulimit -Hn, or LimitNOFILE' })
  return limits
}
