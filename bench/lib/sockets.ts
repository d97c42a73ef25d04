import { readdir, readFile, readlink } from 'node:fs/promises'
import { processesOf } from './process-tree.ts'

/**
 * Sockets that a process and its children have open, but for those with an end at one of the ports: what daemons tell one another (calls
 * of the master, kept alive) comes and goes, and is no visitor's.
 */
export async function socketsOf(pid: number, besides: readonly number[] = []): Promise<number> {
  const links = await Promise.all([...(await processesOf(pid))].map(filesOf))
  const sockets = links.flat().filter(link => link.startsWith('socket:'))
  const others = await inodesAt(besides)
  return sockets.filter(link => !others.has(link.slice('socket:['.length, -1))).length
}

async function filesOf(pid: number): Promise<string[]> {
  const files = await readdir(`/proc/${pid}/fd`).catch(() => [])
  return Promise.all(files.map(file => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')))
}

/** The inodes of the sockets with an end at one of the ports (proc(5): /proc/net/tcp). */
async function inodesAt(ports: readonly number[]): Promise<Set<string>> {
  const tables = await Promise.all(['tcp', 'tcp6'].map(name => readFile(`/proc/net/${name}`, 'latin1')))
  const rows = tables.flatMap(table => table.split('\n')).map(row => row.trim().split(/ +/))
  const isAt = (end = ''): boolean => ports.includes(Number.parseInt(end.slice(end.indexOf(':') + 1), 16))
  return new Set(rows.filter(([, own, other]) => isAt(own) || isAt(other)).map(row => row[9] ?? ''))
}
