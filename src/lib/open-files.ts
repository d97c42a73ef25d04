import { readFileSync } from 'node:fs'
import type { Log } from './log.ts'

/**
 * How many files this process may have open (RLIMIT_NOFILE, which Node raises to the hard limit); undefined if the system does not say.
 * @internal
 */
export function mostOpenFiles(): number | undefined {
  try {
    const found = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
    return found === null ? undefined : Number(found[1])
  } catch {
    return undefined // not Linux, or no /proc
  }
}

/** Reserved for files other than sockets of clients and upstreams: calls to the master, Docker, logs, storage. */
const KEPT_BACK = 512
/** The share of the sockets that clients may use. The rest is for upstreams alone. */
const OF_CLIENTS = 0.75

/** How many sockets of clients and upstreams may be open together, and how many of them may be clients'. */
export type SocketLimits = { readonly sockets: number; readonly connections: number }

/** The wanted limits, reduced to this number of files: beyond it everything else would fail too. @internal */
export function socketsWithin(wanted: number, files: number): SocketLimits {
  const sockets = Math.max(files - KEPT_BACK, Math.floor(files / 3))
  return { sockets, connections: Math.min(wanted, Math.max(1, Math.floor(sockets * OF_CLIENTS))) }
}

/** The same with this process's limit of files. If clients get fewer connections than wanted, it logs that and how to fix it. */
export function socketsHere(wanted: number, log: Log): SocketLimits {
  const files = mostOpenFiles() ?? Number.POSITIVE_INFINITY
  const limits = socketsWithin(wanted, files)
  const { connections } = limits
  if (connections < wanted)
    log.info('fewer connections than set', { wanted, connections, files, hint: 'raise ulimit -Hn, or LimitNOFILE' })
  return limits
}
