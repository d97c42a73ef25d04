import { readdir, readFile } from 'node:fs/promises'
import type { SignalName } from '../../model/exec.ts'

/** A process of a container as this machine sees it. `session` and `group` are the ids of its session and its process group: proc(5). */
type Found = { readonly pid: number; readonly group: number; readonly session: number }

/**
 * The processes of a command that runs beside the container's own. runc makes the command the leader of a session of its own, so that the id
 * of the session is the pid of the command, also after the command itself has ended. A pid may be given to another process later: only
 * processes in the container's cgroup are touched.
 */
export class SessionProcesses {
  readonly #container: string
  readonly #leader: number

  /** `leader`: the pid of the command on this machine. It is never 0, which would mean our own process group. */
  constructor(container: string, leader: number) {
    if (!(leader > 1)) throw new Error(`${leader} is not the pid of a command`)
    this.#container = container
    this.#leader = leader
  }

  /** Whether one of its processes runs. False too if Docker runs on another machine, where they cannot be seen. */
  async run(): Promise<boolean> {
    return (await this.#all()).length > 0
  }

  /** Sends a signal to the command and its process group. */
  async signalGroup(signal: SignalName): Promise<void> {
    for (const { pid, group } of await this.#all()) if (group === this.#leader) send(pid, signal)
  }

  /** Sends a signal to all of its processes. */
  async signalAll(signal: SignalName): Promise<void> {
    for (const { pid } of await this.#all()) send(pid, signal)
  }

  async #all(): Promise<readonly Found[]> {
    const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
    const found = await Promise.all(pids.map(pid => this.#found(Number(pid))))
    return found.flatMap(one => one ?? [])
  }

  async #found(pid: number): Promise<Found | undefined> {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '') // it has ended
    // The fields stand behind the name, which may hold anything.
    const [state = '', , group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (Number(session) !== this.#leader || 'ZXx'.includes(state)) return undefined
    const cgroups = await readFile(`/proc/${pid}/cgroup`, 'latin1').catch(() => '')
    return cgroups.includes(this.#container) ? { pid, group: Number(group), session: Number(session) } : undefined
  }
}

function send(pid: number, signal: SignalName): void {
  try {
    process.kill(pid, `SIG${signal}`)
  } catch {
    // it has ended meanwhile
  }
}
