import { createReadStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { type Listener, listenersOf } from './listeners.ts'
import type { Container } from './runtime.ts'

// An app may have any number of connections; the kernel puts sockets that listen before them.
const MOST_OF_SOCKETS_BYTES = 64 * 2 ** 10

// The period that Docker limits processor time by, too.
const CPU_PERIOD_US = 100_000

/** Where the kernel counts, and is told of limits: the files of cgroup v2 and those of v1, of which one kind is there. */
type Known = { readonly pid: number; readonly countFiles: readonly string[]; readonly cpuFiles: readonly string[] }

/**
 * What the kernel of this machine tells of containers that were started, sooner than Docker does and at the cost of reading a file.
 * Where Docker is on another machine, or in a namespace of processes of its own, it tells nothing.
 */
export class Processes {
  readonly #known = new Map<string, Known>()

  /** Remembers the first process of a container that runs. */
  async learn({ id }: Pick<Container, 'id'>, pid: number): Promise<void> {
    const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')
    if (groups.includes(id))
      this.#known.set(id, { pid, countFiles: countFilesOf(groups), cpuFiles: cpuFilesOf(groups) })
  }

  forget({ id }: Pick<Container, 'id'>): void {
    this.#known.delete(id)
  }

  /** Whether its first process lives; undefined where that cannot be told. */
  async lives({ id }: Pick<Container, 'id'>): Promise<boolean | undefined> {
    const known = this.#known.get(id)
    if (known === undefined) return undefined
    const stat = await readFile(`/proc/${known.pid}/stat`, 'utf8').catch(() => '')
    // The state stands behind the name, which may hold anything: proc(5). Z and X have ended.
    const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
    return state !== '' && !'ZXx'.includes(state)
  }

  /** Where processes in its network namespace listen; undefined where that cannot be told. */
  async listening({ id }: Pick<Container, 'id'>): Promise<readonly Listener[] | undefined> {
    const known = this.#known.get(id)
    if (known === undefined) return undefined
    const read = (name: string) =>
      text(createReadStream(`/proc/${known.pid}/net/${name}`, { end: MOST_OF_SOCKETS_BYTES - 1 }))
    const IPv4 = await read('tcp').catch(() => undefined) // it has ended
    const IPv6 = await read('tcp6').catch(() => '') // a kernel without IPv6 has none
    return IPv4 === undefined ? undefined : [...listenersOf(IPv4), ...listenersOf(IPv6)]
  }

  /** How many of its processes the kernel has ended because they used more memory than they may; 0 where that cannot be told. */
  async memoryKills({ id }: Pick<Container, 'id'>): Promise<number> {
    for (const file of this.#known.get(id)?.countFiles ?? []) {
      const text = await readFile(file, 'utf8').catch(() => '') // ended, or the other version of cgroups
      const count = /^oom_kill (\d+)$/m.exec(text)?.[1]
      if (count !== undefined) return Number(count)
    }
    return 0
  }

  /** Gives it at most so many processors, until told otherwise; nothing happens where it has ended, or runs on another machine. */
  async limitCpus({ id }: Pick<Container, 'id'>, cpus: number): Promise<void> {
    const quota = Math.round(cpus * CPU_PERIOD_US)
    for (const file of this.#known.get(id)?.cpuFiles ?? []) {
      const limit = file.endsWith('cpu.max') ? `${quota} ${CPU_PERIOD_US}` : `${quota}`
      await writeFile(file, limit, { flag: 'r+' }).catch(() => undefined) // ended, or the other version of cgroups
    }
  }
}

const cpuFilesOf = (groups: string): readonly string[] =>
  groups.split('\n').flatMap(line => {
    const [, controllers, path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers === '') return [`/sys/fs/cgroup${path}/cpu.max`]
    return controllers?.split(',').includes('cpu') ? [`/sys/fs/cgroup/cpu${path}/cpu.cfs_quota_us`] : []
  })

const countFilesOf = (groups: string): readonly string[] =>
  groups.split('\n').flatMap(line => {
    const [, controllers, path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers === '') return [`/sys/fs/cgroup${path}/memory.events`]
    return controllers?.split(',').includes('memory') ? [`/sys/fs/cgroup/memory${path}/memory.oom_control`] : []
  })
