import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Place } from '../place.ts'
import { Freezer } from './freezer.ts'
import { endAll, type First, inside, namespaces, onNetworkOf } from './namespaces.ts'

/** Gives the machine a view of its own network in /sys, and an id of its boot. */
const BOOT = `
echo 0 >"$2"
mount -t sysfs sysfs "$1/sys"
mount --rbind /sys/fs/cgroup "$1/sys/fs/cgroup"
mount --rbind "$1/sys" /sys
mount --bind "$1/boot-id" /proc/sys/kernel/random/boot_id
ip link set lo up`

type Options = {
  readonly name: string
  readonly address: string
  /** A folder for what the machine itself needs; it is removed by whoever gave it. */
  readonly folder: string
  /** The name of its cgroup. */
  readonly group: string
  /** Connects the network of this process to the others. */
  readonly plug: (pid: number) => Promise<void>
  /** Takes the cable out, or puts it in again. */
  readonly cable: (connected: boolean) => Promise<void>
}

/** A made-up machine: processes with a network, mounts and process ids of their own. Disks and clock are those of the real one. */
export class Machine implements Place, AsyncDisposable {
  readonly #options: Options
  readonly #freezer: Freezer
  #first: First | undefined

  private constructor(options: Options, freezer: Freezer) {
    this.#options = options
    this.#freezer = freezer
  }

  static async boot(options: Options): Promise<Machine> {
    await mkdir(`${options.folder}/sys`, { recursive: true })
    const machine = new Machine(options, await Freezer.make(options.group))
    await machine.boot()
    return machine
  }

  get name(): string {
    return this.#options.name
  }

  get address(): string {
    return this.#options.address
  }

  /** The cgroup for containers that its Docker starts. */
  get group(): string {
    return `/${this.#options.group}`
  }

  /** Starts it again after a power cut; at once if it runs. Its programs are not started. */
  async boot(): Promise<void> {
    const { folder, plug } = this.#options
    if (this.#first?.child.exitCode === null && this.#first.child.signalCode === null) return
    await writeFile(`${folder}/boot-id`, `${randomUUID()}\n`)
    this.#first = await namespaces(BOOT, folder, this.#freezer.entry)
    await plug(this.#first.pid)
  }

  /** Ends all its processes at once, containers too. */
  async powerOff(): Promise<void> {
    if (this.#first === undefined) return
    const ended = endAll(this.#first)
    await this.thaw() // what is frozen does not end
    await ended
  }

  /** Stops all its processes at once, as a virtual machine is paused. */
  freeze(): Promise<void> {
    return this.#freezer.freeze()
  }

  thaw(): Promise<void> {
    return this.#freezer.thaw()
  }

  /** Packets from and to it are lost from now on. */
  cut(): Promise<void> {
    return this.#options.cable(false)
  }

  mend(): Promise<void> {
    return this.#options.cable(true)
  }

  /** Packets from this address are lost, so that nothing is agreed on by TCP; all others are reached. Returns how to end it. */
  async cutFrom(address: string): Promise<() => Promise<void>> {
    const { pid } = this.#running
    const rule = ['INPUT', '--source', address, '--jump', 'DROP']
    await onNetworkOf(pid, 'iptables', '--wait', '--insert', ...rule)
    return async () => {
      // A machine that was booted meanwhile has a new network, without the rule.
      if (this.#first?.pid === pid) await onNetworkOf(pid, 'iptables', '--wait', '--delete', ...rule)
    }
  }

  spawn(command: readonly [file: string, ...args: string[]], options: SpawnOptions): ChildProcess {
    const [file, ...args] = this.#within(command)
    return spawn(file, args, options)
  }

  /** Runs a command on it and returns its stdout. */
  async run(command: readonly [file: string, ...args: string[]], env: NodeJS.ProcessEnv = {}): Promise<string> {
    const [file, ...args] = this.#within(command)
    const { PATH } = process.env
    return (await promisify(execFile)(file, args, { env: { PATH, ...env } })).stdout.trim()
  }

  signal(child: ChildProcess, signal: NodeJS.Signals): void {
    // The program is the child of nsenter, which waits for it, stops when it stops, and ends as it ends.
    const { pid } = child
    const [program] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
    if (program) process.kill(Number(program), signal)
    else child.kill(signal)
    if (signal !== 'SIGSTOP') child.kill('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.powerOff()
    await this.#freezer[Symbol.asyncDispose]()
  }

  /** The command in the cgroup and the namespaces of the machine. */
  #within(command: readonly string[]): [file: string, ...args: string[]] {
    const join = ['sh', '-c', 'echo 0 >"$0" && exec "$@"', this.#freezer.entry] as const
    return [...join, ...inside(this.#running.pid, 'net', 'pid', 'mount'), ...command]
  }

  get #running(): First {
    if (this.#first === undefined) throw new Error(`${this.name} is off`)
    return this.#first
  }
}
