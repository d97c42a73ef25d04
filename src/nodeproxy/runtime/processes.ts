import { createReadStream, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { kernelFile } from '../../lib/kernel-files.ts'
import { cgroupsOf } from './cgroups.ts'
import { type Listener, listenersOf } from './listening-sockets.ts'
import type { Container } from './runtime.ts'

// An app may have any number of connections; the kernel puts sockets that listen before them.
const MOST_OF_SOCKETS_BYTES = 64 * 2 ** 10

// The period that Docker limits processor time by, too.
const CPU_PERIOD_US = 100_000

type Known = {
  /** The first process. */
  readonly pid: number
  /** The process of the app's command: the first child of docker-init, or the first process itself. */
  readonly command: number
  /** The cgroup files with counters and limits, of v2 and of v1. A machine has one kind. */
  readonly countFiles: readonly string[]
  readonly cpuFiles: readonly string[]
  readonly usageFiles: readonly string[]
  readonly memoryFiles: readonly MemoryFiles[]
}

/** What is in use, and a file with how much of it the kernel takes back when it wants. */
type MemoryFiles = { readonly used: string; readonly stat: string }

/**
 * Facts about running containers from the kernel of this machine. They are there sooner than Docker's, and cost one read of a file. If Docker
 * is on another machine or in its own PID namespace, there are none.
 */
export class Processes {
  readonly #known = new Map<string, Known>()

  /** Remembers the first process of a container that runs. */
  async learn({ id }: Pick<Container, 'id'>, pid: number): Promise<void> {
    const groups = kernelFile(`/proc/${pid}/cgroup`) ?? ''
    if (groups.includes(id))
      this.#known.set(id, {
        pid,
        command: commandOf(pid),
        countFiles: countFilesOf(groups),
        cpuFiles: cpuFilesOf(groups),
        usageFiles: usageFilesOf(groups),
        memoryFiles: memoryFilesOf(groups),
      })
  }

  /** The pid of its first process on this machine; undefined if unknown. */
  pidOf({ id }: Pick<Container, 'id'>): number | undefined {
    return this.#known.get(id)?.pid
  }

  /** The pid of the process of its command on this machine; undefined if unknown. */
  commandPidOf({ id }: Pick<Container, 'id'>): number | undefined {
    return this.#known.get(id)?.command
  }

  forget({ id }: Pick<Container, 'id'>): void {
    this.#known.delete(id)
  }

  /** Whether the process of its command lives; undefined if unknown. docker-init ends with it, but later on a busy machine. */
  async lives({ id }: Pick<Container, 'id'>): Promise<boolean | undefined> {
    const known = this.#known.get(id)
    if (known === undefined) return undefined
    const stat = kernelFile(`/proc/${known.command}/stat`) ?? ''
    const state = stateIn(stat)
    return state !== '' && !'ZXx'.includes(state)
  }

  /**
   * Whether none of its processes runs any more; false if unknown. The first process of a PID namespace ends only after the kernel has ended and
   * reaped all others of it: pid_namespaces(7).
   */
  async areGone({ id }: Pick<Container, 'id'>): Promise<boolean> {
    const known = this.#known.get(id)
    if (known === undefined) return false
    try {
      return 'ZX'.includes(stateIn(readFileSync(`/proc/${known.pid}/stat`, 'utf8')))
    } catch (error) {
      return ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')
    }
  }

  /** Where processes in its network namespace listen; undefined if unknown. */
  async listening({ id }: Pick<Container, 'id'>): Promise<readonly Listener[] | undefined> {
    const known = this.#known.get(id)
    if (known === undefined) return undefined
    const read = (name: string) =>
      text(createReadStream(`/proc/${known.pid}/net/${name}`, { end: MOST_OF_SOCKETS_BYTES - 1 }))
    const IPv4 = await read('tcp').catch(() => undefined) // it has ended
    const IPv6 = await read('tcp6').catch(() => '') // a kernel without IPv6 has none
    return IPv4 === undefined ? undefined : [...listenersOf(IPv4), ...listenersOf(IPv6)]
  }

  /** How many of its processes the kernel has ended because they used more memory than they may; 0 if unknown. */
  async memoryKills({ id }: Pick<Container, 'id'>): Promise<number> {
    for (const file of this.#known.get(id)?.countFiles ?? []) {
      const text = kernelFile(file) ?? '' // ended, or the other version of cgroups
      const count = /^oom_kill (\d+)$/m.exec(text)?.[1]
      if (count !== undefined) return Number(count)
    }
    return 0
  }

  /** The processor time that its processes have used, in milliseconds; undefined if unknown. */
  async cpuMs({ id }: Pick<Container, 'id'>): Promise<number | undefined> {
    for (const file of this.#known.get(id)?.usageFiles ?? []) {
      const text = kernelFile(file) ?? '' // ended, or the other version of cgroups
      const microseconds = /^usage_usec (\d+)$/m.exec(text)?.[1]
      if (microseconds !== undefined) return Number(microseconds) / 1_000
      if (/^\d+\n$/.test(text)) return Number(text) / 1_000_000
    }
    return undefined
  }

  /** Its processor time, and its memory without pages of files that the kernel takes back when it wants them; undefined if unknown, or if it has ended. */
  async load({ id }: Pick<Container, 'id'>): Promise<{ cpuMs: number; memoryBytes: number } | undefined> {
    const cpuMs = await this.cpuMs({ id })
    for (const { used, stat } of this.#known.get(id)?.memoryFiles ?? []) {
      const [bytes = '', stats = ''] = [kernelFile(used), kernelFile(stat)] // ended, or the other version of cgroups
      const [, cached = 0] = /^total_inactive_file (\d+)$/m.exec(stats) ?? /^inactive_file (\d+)$/m.exec(stats) ?? []
      if (/^\d+\n$/.test(bytes) && cpuMs !== undefined)
        return { cpuMs, memoryBytes: Math.max(0, Number(bytes) - Number(cached)) }
    }
    return undefined
  }

  knows({ id }: Pick<Container, 'id'>): boolean {
    return this.#known.has(id)
  }

  /** Its processor time, and what it has sent over its network; undefined if unknown, or if its first process has ended. */
  async usage({ id }: Pick<Container, 'id'>): Promise<{ cpuMs: number; sentBytes: number } | undefined> {
    const known = this.#known.get(id)
    const interfaces = known && kernelFile(`/proc/${known.pid}/net/dev`)
    const cpuMs = await this.cpuMs({ id })
    if (interfaces === undefined || cpuMs === undefined) return undefined
    return { cpuMs, sentBytes: sentIn(interfaces) }
  }

  /** Limits it to so many processors, until the next call. Does nothing if it has ended or runs on another machine. */
  async limitCpus({ id }: Pick<Container, 'id'>, cpus: number): Promise<void> {
    const quota = Math.round(cpus * CPU_PERIOD_US)
    for (const file of this.#known.get(id)?.cpuFiles ?? []) {
      const limit = file.endsWith('cpu.max') ? `${quota} ${CPU_PERIOD_US}` : `${quota}`
      await writeFile(file, limit, { flag: 'r+' }).catch(() => undefined) // ended, or the other version of cgroups
    }
  }
}

/** The bytes that all interfaces but the loopback have sent, of /proc/net/dev: the ninth number of each. */
const sentIn = (interfaces: string): number =>
  interfaces.split('\n').reduce((sum, line) => {
    const [, name, numbers = ''] = /^\s*([^\s:]+):\s*(.*)$/.exec(line) ?? []
    return name === undefined || name === 'lo' ? sum : sum + Number(numbers.split(/\s+/)[8] ?? 0)
  }, 0)

/** The state stands behind the name, which may hold anything: proc(5). Z and X have ended. */
const stateIn = (stat: string): string => stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)

/** The process of the command of a container, by its first process. */
export function commandOf(first: number): number {
  const name = kernelFile(`/proc/${first}/comm`)
  if (name !== 'docker-init\n') return first
  const children = kernelFile(`/proc/${first}/task/${first}/children`) ?? ''
  return Number(children.split(' ', 1)[0]) || first // children stand in the order in which they came: proc(5)
}

const cpuFilesOf = (groups: string): readonly string[] =>
  cgroupsOf(groups, 'cpu').map(({ version, at }) => `${at}/${version === 2 ? 'cpu.max' : 'cpu.cfs_quota_us'}`)

// In microseconds among other counters (v2), and alone in nanoseconds (v1).
const usageFilesOf = (groups: string): readonly string[] =>
  cgroupsOf(groups, 'cpuacct').map(({ version, at }) => `${at}/${version === 2 ? 'cpu.stat' : 'cpuacct.usage'}`)

const memoryFilesOf = (groups: string): readonly MemoryFiles[] =>
  cgroupsOf(groups, 'memory').map(({ version, at }) => ({
    used: `${at}/${version === 2 ? 'memory.current' : 'memory.usage_in_bytes'}`,
    stat: `${at}/memory.stat`,
  }))

const countFilesOf = (groups: string): readonly string[] =>
  cgroupsOf(groups, 'memory').map(
    ({ version, at }) => `${at}/${version === 2 ? 'memory.events' : 'memory.oom_control'}`,
  )
