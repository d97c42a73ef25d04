import { readdir, readFile } from 'node:fs/promises'

const TICKS_PER_SECOND = 100 // USER_HZ: the unit of /proc on every Linux that Node runs on

/** The CPU time that a process and its descendants have used (user, and user with system), and the memory they have. */
export type Usage = { readonly userUs: number; readonly cpuUs: number; readonly rssKiB: number }

type Stat = { readonly pid: number; readonly parent: number; readonly user: number; readonly system: number }

/** Reads the usage from /proc. The values of a process include all its threads, also those that have ended. */
export async function usageOf(pid: number): Promise<Usage> {
  const all = await everyStat()
  const tree = treeOf(pid, all)
  const mine = all.filter(one => tree.has(one.pid))
  const ticks = (of: (stat: Stat) => number): number => mine.reduce((sum, one) => sum + of(one), 0)
  const rss = await Promise.all(mine.map(one => rssOf(one.pid)))
  return {
    userUs: (ticks(one => one.user) * 1e6) / TICKS_PER_SECOND,
    cpuUs: (ticks(one => one.user + one.system) * 1e6) / TICKS_PER_SECOND,
    rssKiB: rss.reduce((sum, one) => sum + one, 0),
  }
}

/** A process and its descendants. */
export async function processesOf(pid: number): Promise<Set<number>> {
  return treeOf(pid, await everyStat())
}

function treeOf(pid: number, all: readonly Stat[]): Set<number> {
  const tree = new Set([pid])
  // A child's id may be smaller than its parent's: repeat until no more are found.
  for (let found = true; found; ) {
    found = false
    for (const one of all)
      if (tree.has(one.parent) && !tree.has(one.pid)) {
        tree.add(one.pid)
        found = true
      }
  }
  return tree
}

async function everyStat(): Promise<Stat[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const stats = await Promise.all(pids.map(pid => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''))) // it may be gone
  return stats.filter(Boolean).map(line => {
    // The command's name is in parentheses, and may contain spaces and parentheses.
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
    return {
      pid: Number.parseInt(line, 10),
      parent: Number(fields[1]),
      user: Number(fields[11]),
      system: Number(fields[12]),
    }
  })
}

async function rssOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
}
