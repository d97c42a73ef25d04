import { orAborted } from '../lib/abort.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Egress } from '../model/egress.ts'
import type { Command } from '../model/exec.ts'
import type { LogLine, RefusedName } from '../model/instance.ts'
import type { InstanceId, RunKey } from '../model/instance-id.ts'
import type { AppName } from '../model/names.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Listener } from '../nodeproxy/runtime/listening-sockets.ts'
import {
  type Container,
  type ContainerStats,
  type Exit,
  type FileAt,
  type FoundContainer,
  GateStaysShut,
  type Health,
  type ImageFacts,
  type Layer,
  type Pinned,
  type Runtime,
} from '../nodeproxy/runtime/runtime.ts'
import { COMMANDS } from './exec-commands.ts'
import { FakeCommand } from './fake-exec.ts'

type Kept = FoundContainer & { ended: PromiseWithResolvers<Exit | undefined>; lines: LogLine[] }

/** A runtime that a test controls step by step: `gate` stops a call until the test lets it go on or fail. */
export class FakeRuntime implements Runtime {
  readonly calls: string[] = []
  readonly containers = new Map<string, Kept>()
  readonly #gates = new Map<string, PromiseWithResolvers<void>>()
  isAlive = true
  /** The address of all containers. */
  ip = '10.0.0.2'
  /** What each container writes when it starts. */
  writes: readonly string[] = []
  /** Called for each container that starts. */
  onStart: (container: Container) => void = () => undefined
  #made = 0

  /** The next calls of this verb wait until the gate is opened or failed. */
  gate(verb: string): { open: () => void; fail: (error: unknown) => void } {
    const gate = Promise.withResolvers<void>()
    gate.promise.catch(() => undefined)
    this.#gates.set(verb, gate)
    const end = (): void => void this.#gates.delete(verb)
    return {
      open: () => {
        end()
        gate.resolve()
      },
      fail: error => {
        end()
        gate.reject(error)
      },
    }
  }

  count(verb: string): number {
    return this.calls.filter(call => call.startsWith(`${verb} `)).length
  }

  /** Ends the container's process, as if it had exited by itself. */
  end(container: Container, exit: Exit | undefined): void {
    const kept = this.#kept(container)
    this.containers.set(container.id, { ...kept, running: false })
    kept.ended.resolve(exit)
    for (const one of this.commandsIn(container)) one.exit(137)
  }

  /** The runtime loses track of the container, which goes on running. */
  lose(container: Container): void {
    const kept = this.#kept(container)
    kept.ended.resolve(undefined)
    this.containers.set(container.id, { ...kept, ended: Promise.withResolvers() })
  }

  async close(): Promise<void> {
    this.calls.push('close')
  }

  running(): FoundContainer[] {
    return [...this.containers.values()].filter(({ running }) => running)
  }

  async alive(): Promise<boolean> {
    return this.isAlive
  }

  /** The ids of the images that tasks name; without an entry, the name is the id. */
  readonly imageIds = new Map<string, string>()

  async ensureImage(image: string, signal: AbortSignal, of?: Pinned): Promise<ImageFacts> {
    await this.#pass('image', image, signal)
    const found = of?.pinned ?? this.#image(image)
    this.imageIds.set(image, found.id)
    return { ports: [], ...found }
  }

  async findImage(image: string): Promise<ImageFacts> {
    return this.#image(image)
  }

  async images(): Promise<readonly string[]> {
    return [...this.imageIds.values()]
  }

  async check({ image }: TaskDefinition, signal: AbortSignal): Promise<ImageFacts> {
    await this.#pass('check', image, signal)
    return this.#image(image)
  }

  #image(image: string): ImageFacts {
    return { id: this.imageIds.get(image) ?? `sha256:${image}`, ports: [] }
  }

  async create(
    instance: InstanceId,
    task: { app: AppName; revision: number },
    _at: string | undefined,
    signal: AbortSignal,
    key: RunKey = instance,
  ): Promise<Container> {
    await this.#pass('create', instance, signal)
    const parked = this.parked.delete(instance)
    const id = `c${++this.#made}`
    if (parked) this.#shut.add(id)
    const own = { id, app: task.app, instance, revision: task.revision, key }
    const made = parked ? { ...own, parked } : own
    this.containers.set(made.id, {
      ...made,
      running: false,
      isPaused: false,
      ip: undefined,
      startedAt: '',
      pid: 0,
      ended: Promise.withResolvers(),
      lines: [],
    })
    return made
  }

  /** The instances with a container that waits. */
  readonly parked = new Set<InstanceId>()
  /** Whether a container that waits cannot go on when it is started; `refused`: since the kernel does not run its program. */
  gateStaysShut: boolean | 'refused' = false
  readonly #shut = new Set<string>()

  async park(instance: InstanceId, task: TaskDefinition, _at: string | undefined, signal: AbortSignal): Promise<void> {
    await this.#pass('park', `${instance}@${task.revision}`, signal)
    this.parked.add(instance)
  }

  isParked(instance: InstanceId): boolean {
    return this.parked.has(instance)
  }

  /** How many more containers its network takes. */
  freePorts = 1_023

  async portsLeft(): Promise<number> {
    return this.freePorts
  }

  async unpark(instance: InstanceId): Promise<void> {
    await this.#pass('unpark', instance)
    this.parked.delete(instance)
  }

  async copyFolder(): Promise<void> {}

  /** The files of all containers, by their paths; `readFiles` gives their text in place of a tar. */
  readonly files = new Map<string, string>()

  async statFile(_: Container, path: string): Promise<FileAt | undefined> {
    const text = this.files.get(path)
    return text === undefined ? undefined : { kind: 'file', name: path, size: text.length, uid: 0, gid: 0 }
  }

  async *readFiles(_: Container, path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    const text = this.files.get(path)
    if (text === undefined) throw new ShadowError('not-found', `there is no ${path}`)
    await this.#pass('readFiles', path, signal)
    signal.throwIfAborted()
    yield Buffer.from(text)
  }

  async writeFiles(_: Container, path: string, tar: AsyncIterable<Uint8Array>): Promise<void> {
    const pieces: Uint8Array[] = []
    for await (const piece of tar) pieces.push(piece)
    this.files.set(path, Buffer.concat(pieces).toString())
  }

  async start(container: Container, signal: AbortSignal): Promise<string> {
    await this.#pass('start', container.instance, signal)
    if (this.#shut.delete(container.id) && this.gateStaysShut) {
      this.containers.delete(container.id)
      throw new GateStaysShut(container.instance, new Error('it has ended'), this.gateStaysShut === 'refused')
    }
    const kept = this.#kept(container)
    const lines = this.writes.map((line): LogLine => ({ at: '', stream: 'stdout', line }))
    this.containers.set(container.id, { ...kept, running: true, ip: this.ip, lines })
    this.onStart(container)
    return this.ip
  }

  /** The grace of each stop, in milliseconds. */
  readonly graces: number[] = []

  async stop(container: Container, graceMs: number): Promise<void> {
    this.graces.push(graceMs)
    await this.#pass('stop', container.instance)
    this.frozen.delete(container.id)
    const kept = this.containers.get(container.id)
    if (kept?.running) this.end(container, { exitCode: 143, outOfMemory: false })
  }

  /** The ids of the containers that are frozen. */
  readonly frozen = new Set<string>()

  async freeze(container: Container): Promise<void> {
    await this.#pass('freeze', container.instance)
    this.frozen.add(container.id)
  }

  /** Whether the machine has swap. */
  hasSwap = true

  async swapOut(container: Container): Promise<void> {
    await this.#pass('swapOut', container.instance)
    if (!this.hasSwap) throw new ShadowError('no-swap', 'this machine has no swap')
  }

  isFrozen({ id }: Container): boolean {
    return this.frozen.has(id)
  }

  async thaw(container: Container): Promise<void> {
    await this.#pass('thaw', container.instance)
    this.frozen.delete(container.id)
  }

  async remove(container: Container): Promise<void> {
    await this.#pass('remove', container.instance)
    if (this.containers.get(container.id)?.running) throw new Error('a running container is not removed')
    this.containers.delete(container.id)
  }

  async exited(container: Container, signal: AbortSignal): Promise<Exit | undefined> {
    const kept = this.containers.get(container.id)
    return kept && orAborted(kept.ended.promise, signal)
  }

  /** The commands that were started beside the apps, with their containers. */
  readonly commands: { readonly container: string; readonly command: FakeCommand }[] = []

  commandsIn({ id }: Pick<Container, 'id'>): readonly FakeCommand[] {
    return this.commands.filter(one => one.container === id).map(one => one.command)
  }

  async exec(container: Container, given: Command, signal: AbortSignal): Promise<FakeCommand> {
    await this.#pass('exec', container.instance, signal)
    if (!this.containers.get(container.id)?.running)
      throw new ShadowError('app-unreachable', `${container.app} stopped just now`)
    const command = new FakeCommand(given)
    this.commands.push({ container: container.id, command })
    return command
  }

  /** The ports of all containers that accept connections. */
  readonly ports = new Set<number>()

  async connect(container: Container, port: number): Promise<FakeCommand> {
    if (!this.ports.has(port)) throw new ShadowError('app-unreachable', `nothing listens on port ${port}`)
    const command = new FakeCommand({ command: COMMANDS.cat, env: {} })
    this.commands.push({ container: container.id, command })
    return command
  }

  async console(instance: InstanceId, task: TaskDefinition, given: Command, signal: AbortSignal) {
    const container = await this.create(instance, task, undefined, signal)
    await this.start(container, signal)
    const command = new FakeCommand(given)
    this.commands.push({ container: container.id, command })
    return { container, terminal: command }
  }

  /** The memory that each container uses. */
  memoryBytes = 1_048_576

  async stats(container: Container): Promise<ContainerStats | undefined> {
    if (!this.containers.get(container.id)?.running) return undefined
    const none = { receivedBytes: 0, sentBytes: 0, readBytes: 0, writtenBytes: 0 }
    return { cpuMs: this.usedCpuMs ?? 0, memoryBytes: this.memoryBytes, memoryLimitBytes: 67_108_864, pids: 1, ...none }
  }

  async *output(container: Container): AsyncIterable<LogLine> {
    yield* this.containers.get(container.id)?.lines ?? []
  }

  /** true: processes have ended, but the runtime has not reported it yet. */
  isDying = false
  /** How often `runs` was called. */
  runsCalls = 0

  async runs({ id }: Container): Promise<boolean> {
    this.runsCalls += 1
    if (this.isDying) return false
    return this.containers.get(id)?.running ?? false
  }

  async areGone({ id }: Container): Promise<boolean> {
    return this.containers.get(id)?.running !== true
  }

  /** How many processes of each container were killed for lack of memory. */
  kills = 0

  /** The processor time of all containers. */
  usedCpuMs: number | undefined
  async cpuMs(): Promise<number | undefined> {
    return this.usedCpuMs
  }

  /** What each container has sent. */
  sentBytes = 0

  async usage({ id }: Container): Promise<{ cpuMs: number; sentBytes: number } | undefined> {
    if (this.containers.get(id)?.running !== true) return undefined
    return { cpuMs: this.usedCpuMs ?? 0, sentBytes: this.sentBytes }
  }

  async load(container: Container): Promise<Pick<ContainerStats, 'cpuMs' | 'memoryBytes'> | undefined> {
    return this.stats(container)
  }

  async memoryKills(): Promise<number> {
    return this.kills
  }

  /** How many connections of each instance were refused. */
  refused = new Map<InstanceId, number>()

  async refusedConnections(): Promise<ReadonlyMap<InstanceId, number>> {
    return this.refused
  }

  /** The hosts that were refused, by instance. */
  refusedHosts = new Map<InstanceId, readonly RefusedName[]>()

  refusedNames(): ReadonlyMap<InstanceId, readonly RefusedName[]> {
    return this.refusedHosts
  }

  /** Why what a container may reach cannot be changed. */
  egressFailure: Error | undefined
  /** What containers may reach that was changed while they ran, in order. */
  readonly egress: { readonly id: string; readonly list: readonly Egress[] }[] = []

  async setEgress({ id }: Container, list: readonly Egress[]): Promise<void> {
    if (this.egressFailure !== undefined) throw this.egressFailure
    this.egress.push({ id, list })
  }

  /** The CPU limits that were set, in order. */
  readonly cpus: { readonly id: string; readonly cpus: number | undefined }[] = []

  async limitCpus({ id }: Container, cpus: number | undefined): Promise<void> {
    this.cpus.push({ id, cpus })
  }

  /** The listeners of the processes of each container. */
  listens: readonly Listener[] = []

  async listening(): Promise<readonly Listener[]> {
    return this.listens
  }

  async health(): Promise<Health | undefined> {
    return undefined
  }

  async leftBehind(): Promise<readonly FoundContainer[]> {
    if (!this.isAlive) throw new ShadowError('runtime-unreachable', 'Docker does not answer')
    return [...this.containers.values()]
  }

  async layers(): Promise<readonly Layer[]> {
    return []
  }

  async openPorts(): Promise<void> {}

  appNetworks: readonly string[] = []

  async networks(): Promise<readonly string[]> {
    return this.appNetworks
  }

  async #pass(verb: string, what: string, signal?: AbortSignal): Promise<void> {
    this.calls.push(`${verb} ${what}`)
    if (!this.isAlive) throw new ShadowError('runtime-unreachable', 'Docker does not answer')
    await passGate(this.#gates.get(verb), signal)
  }

  #kept(container: Container): Kept {
    const kept = this.containers.get(container.id)
    if (kept === undefined) throw new Error(`no container ${container.id}`)
    return kept
  }
}

async function passGate(gate: PromiseWithResolvers<void> | undefined, signal?: AbortSignal): Promise<void> {
  if (gate === undefined) return signal?.throwIfAborted()
  const aborted = new Promise<never>((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  await Promise.race([gate.promise, aborted])
}
