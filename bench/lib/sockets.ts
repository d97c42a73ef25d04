import { readdir, readFile, readlink } from 'node:fs/promises'
import { processesOf } from './process-tree.ts'

/** An open socket of a process; a TCP socket has ports and a state. */
export type OpenSocket = {
  readonly inode: string
  readonly own?: number
  readonly other?: number
  readonly state?: string
}

/** The TCP states by their numbers in /proc/net/tcp (Linux's include/net/tcp_states.h). */
const STATES = `- established syn-sent syn-received fin-wait-1 fin-wait-2 time-wait closed close-wait last-ack listening closing`
const NAMES = STATES.split(' ')

/**
 * The open sockets of a process and its children, except those with an end at one of the ports `besides`: connections between daemons
 * (keep-alive calls to the master) come and go, and belong to no visitor.
 */
export async function socketsOf(pid: number, besides: readonly number[] = []): Promise<OpenSocket[]> {
  const links = await Promise.all([...(await processesOf(pid))].map(filesOf))
  const inodes = links.flat().flatMap(link => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? [])
  const known = await overTcp()
  return inodes
    .map(inode => known.get(inode) ?? { inode })
    .filter(({ own, other }) => ![own, other].some(port => port !== undefined && besides.includes(port)))
}

/** A description of a socket: `4080 to 51234, close-wait`. */
export function saidOf({ inode, own, other, state }: OpenSocket): string {
  return state === undefined ? `${inode}, closed by the other side or not of TCP` : `${own} to ${other}, ${state}`
}

async function filesOf(pid: number): Promise<string[]> {
  const files = await readdir(`/proc/${pid}/fd`).catch(() => [])
  return Promise.all(files.map(file => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')))
}

/** The TCP sockets of this machine by inode (proc(5): /proc/net/tcp). */
async function overTcp(): Promise<Map<string, OpenSocket>> {
  const tables = await Promise.all(['tcp', 'tcp6'].map(name => readFile(`/proc/net/${name}`, 'latin1')))
  const rows = tables.flatMap(table => table.trim().split('\n').slice(1)).map(row => row.trim().split(/ +/))
  const portOf = (end = ''): number => Number.parseInt(end.slice(end.indexOf(':') + 1), 16)
  return new Map(
    rows.map(([, own, other, state = '', , , , , , inode = '']) => [
      inode,
      { inode, own: portOf(own), other: portOf(other), state: NAMES[Number.parseInt(state, 16)] ?? state },
    ]),
  )
}
