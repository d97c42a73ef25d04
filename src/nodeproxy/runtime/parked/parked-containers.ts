import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../../lib/log.ts'
import { mapAtMost } from '../../../lib/parallel.ts'
import type { InstanceId } from '../../../model/instance-id.ts'
import type { TaskDefinition } from '../../../model/task.ts'
import type { AddressedContainers, Wanted } from '../addressed-containers.ts'
import type { AppNetworks } from '../app-networks.ts'
import type { DockerCommands } from '../docker-commands.ts'
import type { DockerContainers } from '../docker-containers.ts'
import type { Engine } from '../docker-engine.ts'
import type { DockerStop } from '../docker-stop.ts'
import type { Freezer } from '../freezer.ts'
import { untilExecuted } from '../init.ts'
import { commandOf, type Processes } from '../processes.ts'
import { type Container, type FoundContainer, GateStaysShut } from '../runtime.ts'
import { hiddenBy } from '../source-mount.ts'
import { gateCommand, type ImageCommand, merged, wordsOf } from './gate-command.ts'
import { gateMessage } from './gate-message.ts'
import { gateProgram } from './gate-program.ts'
import type { Gate, Gates } from './gates.ts'
import { notParkable, whyNotParkable } from './not-parkable.ts'
import { deviceAt, deviceHere, environOf, folderOf, hasNetwork, mountsAt, ownOf, waitsAt } from './waiting-processes.ts'

type Options = {
  readonly engine: Engine
  readonly containers: DockerContainers
  readonly addressed: AddressedContainers
  readonly networks: Pick<AppNetworks, 'takeIPv6Off'>
  readonly commands: Pick<DockerCommands, 'missing'>
  /** Undefined: none is parked. */
  readonly gates: Gates | undefined
  readonly stops: Pick<DockerStop, 'alone' | 'learn' | 'forget'>
  readonly processes: Processes
  readonly freezer: Pick<Freezer, 'learn' | 'forget'>
  readonly log: Log
}

/** A container that waits. `pid`: of the process that waits, on this machine. */
type Waiting = {
  readonly container: Container
  readonly gate: Gate
  readonly pid: number
  readonly fingerprint: string
  readonly image: ImageCommand
  readonly environ: readonly string[]
  readonly workdir: string
}

/** A container that a wake has taken, and whose gate is shut. */
type Taken = Waiting & {
  readonly task: TaskDefinition
  readonly env: readonly string[]
  readonly mountedAt: string | undefined
}

/** A container that was found; see `DockerContainers`. */
type FoundOne = FoundContainer & { readonly gate?: string; readonly hasParkedName?: true }

/** One that is being made. */
type Parking = { readonly abort: (why: string) => void; readonly done: Promise<void> }

const AT_ONCE = 4

class ProgramRefused extends Error {}

/**
 * Containers that were made and started for instances that are asleep, and wait before the process of the app. A wake takes the one of its instance, if
 * it is as a new one would be, and opens its gate. A gate that was not opened has run nothing of the app, so its container is removed at any time.
 */
export class ParkedContainers {
  readonly #options: Options
  readonly #waiting = new Map<InstanceId, Waiting>()
  readonly #parking = new Map<InstanceId, Parking>()
  readonly #taken = new Map<string, Taken>()
  readonly #removing = new Map<InstanceId, Promise<void>>()
  /** The variables of the definition, for commands that run beside the app: Docker does not know them. */
  readonly #envs = new Map<string, readonly string[]>()
  readonly #gateOf = new Map<string, Gate>()
  #program: Promise<Buffer | undefined> | undefined
  #hasSwept = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Whether the instance has a container that waits. */
  has(instance: InstanceId): boolean {
    const waiting = this.#waiting.get(instance)
    return waiting !== undefined && existsSync(`/proc/${waiting.pid}`)
  }

  /** Makes a container that waits; one that waits already and would do is kept. Fails with `not-parkable`. A wake, or `remove`, calls it off. */
  async park(
    instance: InstanceId,
    task: TaskDefinition,
    mountedAt: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const own = new AbortController()
    const making = this.#keepOrMake({ instance, key: instance, task, mountedAt }, AbortSignal.any([signal, own.signal]))
    const parking = { abort: (why: string) => own.abort(new Error(why)), done: making.catch(() => undefined) }
    this.#parking.set(instance, parking)
    try {
      await making
    } finally {
      if (this.#parking.get(instance) === parking) this.#parking.delete(instance)
    }
  }

  async #keepOrMake(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { instance } = wanted
    const before = this.#waiting.get(instance)
    if (before !== undefined) {
      const { fingerprint } = await this.#options.containers.atGate(wanted)
      const isGood = before.fingerprint === fingerprint && waitsAt(before.pid)
      if (isGood && this.#waiting.get(instance) === before) return
      signal.throwIfAborted()
      this.#drop(instance)
    }
    await this.#removing.get(instance)
    await this.#make(wanted, signal)
  }

  async #make(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { containers, addressed, networks, gates } = this.#options
    const { instance, task } = wanted
    const reason = whyNotParkable(task)
    if (reason !== undefined) throw notParkable(task.app, reason)
    const program = gates && (await this.#gateProgram())
    if (gates === undefined || program === undefined)
      throw notParkable(task.app, 'no program is known that waits on machines of this kind')
    const atGate = await containers.atGate(wanted)
    signal.throwIfAborted()
    const gate = await gates.make(program)
    let container: Container | undefined
    try {
      container = await addressed.create({ ...wanted, gate }, signal)
      this.#gateOf.set(container.id, gate)
      signal.throwIfAborted()
      await addressed.start(container)
      await networks.takeIPv6Off(addressed.addressOf(container) ?? '')
      const waiting = await this.#learn(container, { wanted, gate, ...atGate })
      signal.throwIfAborted()
      this.#waiting.set(instance, waiting)
    } catch (error) {
      await (container === undefined ? gates.remove(gate) : this.#discard(container))
      throw error
    }
  }

  /** What is known of it once it waits. Fails if it does not wait as it should. */
  async #learn(
    container: Container,
    { wanted, gate, fingerprint, env }: { wanted: Wanted; gate: Gate; fingerprint: string; env: readonly string[] },
  ): Promise<Waiting> {
    const { engine, containers, commands, stops, processes, freezer } = this.#options
    const { task, mountedAt } = wanted
    const found = await containers.inspect(container)
    const { Pid, Paused } = found.State
    if (found.HostConfig.Init) await untilExecuted(Pid)
    stops.learn(container, found)
    await processes.learn(container, Pid)
    await freezer.learn(container, Pid, Paused)
    const pid = processes.commandPidOf(container)
    if (pid === undefined) throw notParkable(task.app, 'its processes run on another machine than this node')
    const { Config: image } = await engine.ask(docker => docker.getImage(found.Image).inspect())
    const environ = await environOf(pid)
    const workdir = await folderOf(pid)
    const volume = task.volume?.path
    if (volume !== undefined && workdir.startsWith(`${volume}/`))
      throw notParkable(task.app, `its working directory ${workdir} is on its volume`)
    if (volume !== undefined && mountedAt !== undefined) {
      // It must come later: a volume that is mounted while the container is started would stay mounted in it.
      const mounts = await mountsAt(pid, volume)
      if (mounts !== 1) throw notParkable(task.app, `its container has ${mounts} mounts at ${volume}`)
    }
    const Cmd = [...wordsOf(image, task.command)]
    const Env = [...merged(environ, env)]
    const missing = await commands.missing(container.id, { ...found.Config, Env, Entrypoint: [], Cmd }, [
      ...hiddenBy(task),
    ])
    if (missing !== undefined) throw notParkable(task.app, missing)
    return { container, gate, pid, fingerprint, image, environ, workdir }
  }

  /** The container for a wake; undefined if there is none that does. Calls off what is being made. */
  async take({ instance, key, task, mountedAt }: Wanted): Promise<Container | undefined> {
    this.#parking.get(instance)?.abort('the app is being woken')
    const waiting = this.#waiting.get(instance)
    if (waiting === undefined) return undefined
    this.#waiting.delete(instance)
    const { containers, addressed, log } = this.#options
    const { container } = waiting
    try {
      const { fingerprint, env } = await containers.atGate({ instance, key, task, mountedAt })
      if (key === instance && fingerprint === waiting.fingerprint && addressed.isWhereItHasToBe(container, task)) {
        this.#taken.set(container.id, { ...waiting, task, env, mountedAt })
        await addressed.holdAgain(container, task)
        await containers.own(container)
        return { ...container, parked: true }
      }
    } catch (cause) {
      log.debug('parked container not taken', { app: task.app, cause })
    }
    this.#removeBehind(instance, container)
    return undefined
  }

  /** Whether it was taken, and its gate is shut. */
  isShut({ id }: Pick<Container, 'id'>): boolean {
    return this.#taken.has(id)
  }

  /** Opens the gate of a container that was taken. Fails with `GateStaysShut` if it was not opened, and then the container is removed. */
  async open(container: Container, signal: AbortSignal): Promise<void> {
    const taken = this.#taken.get(container.id)
    if (taken === undefined) return
    try {
      await this.#mustBeFit(taken)
      const { task, image, environ, env, workdir, gate } = taken
      const command = { image, command: task.command, environ, env, workdir, volumePath: task.volume?.path }
      const message = gateMessage(gateCommand(command))
      if (message === undefined) throw new Error('its command and its environment are too long')
      signal.throwIfAborted()
      await this.#options.gates?.open(gate, message, env)
      await this.#hasGoneOn(taken, signal)
    } catch (cause) {
      signal.throwIfAborted()
      await this.#discard(container)
      throw new GateStaysShut(container.instance, cause, cause instanceof ProgramRefused)
    }
    this.#taken.delete(container.id)
    this.#envs.set(container.id, taken.env)
    this.#nameBehind(container)
  }

  /** Gives it the name of an app's container, which takes Docker some milliseconds. */
  #nameBehind(container: Container): void {
    const { containers, log } = this.#options
    containers
      .unpark(container)
      .catch(cause => log.debug('parked container not renamed', { app: container.app, cause }))
  }

  /** Whether it is a container of this run that waits, or is being made to. */
  isWaiting(id: string): boolean {
    return this.#gateOf.has(id) && !this.#envs.has(id) && !this.#taken.has(id)
  }

  /** A program that cannot be run is told of by the ordinary start that follows. */
  async #hasGoneOn({ pid, gate }: Taken, signal: AbortSignal): Promise<void> {
    while (waitsAt(pid)) {
      if (await this.#options.gates?.waitsAgain(gate)) throw new ProgramRefused('its program could not be run')
      await sleep(1, undefined, { signal })
    }
  }

  /** It must still wait, and have its network. The volume that is mounted on this machine must be the one that the process sees. */
  async #mustBeFit({ task, mountedAt, pid }: Taken): Promise<void> {
    if (!waitsAt(pid)) throw new Error('its process does not wait any more')
    if (!hasNetwork(pid)) throw new Error('its network has ended')
    if (task.volume === undefined || mountedAt === undefined) return
    const [here, there] = await Promise.all([deviceHere(mountedAt), deviceAt(pid, task.volume.path)])
    if (here === undefined || here !== there)
      throw new Error(`it has ${there ?? 'nothing'} at ${task.volume.path}, and this machine ${here ?? 'nothing'}`)
  }

  /** The variables of the definition that Docker does not know of a container, by their names. */
  envOf({ id }: Pick<Container, 'id'>): Readonly<Record<string, string>> {
    return Object.fromEntries(
      (this.#envs.get(id) ?? []).map(variable => variable.split(/=(.*)/s, 2) as [string, string]),
    )
  }

  /** Removes the container of the instance that waits, or is being made; none is success. One that was taken is the wake's. */
  async remove(instance: InstanceId): Promise<void> {
    this.#parking.get(instance)?.abort('the app is not parked any more')
    this.#drop(instance)
    await this.settled(instance)
  }

  async close(): Promise<void> {
    const all = new Set([...this.#waiting.keys(), ...this.#parking.keys()])
    await mapAtMost(AT_ONCE, [...all], instance => this.remove(instance))
    await this.#options.gates?.flush()
  }

  #removeBehind(instance: InstanceId, container: Container): void {
    const removing = this.#discard(container)
      .catch(cause => this.#options.log.warn('parked container not removed', { app: container.app, cause }))
      .finally(() => {
        if (this.#removing.get(instance) === removing) this.#removing.delete(instance)
      })
    this.#removing.set(instance, removing)
  }

  /** Removes a container that has run nothing of an app. */
  async #discard(container: Container): Promise<void> {
    const { containers, addressed, stops, processes, freezer } = this.#options
    this.#taken.delete(container.id)
    await stops.alone(() => containers.removeUnused(container))
    stops.forget(container)
    processes.forget(container)
    freezer.forget(container)
    await addressed.left(container)
    await this.forget(container)
  }

  /** A container was removed: its gate goes too. */
  async forget({ id }: Pick<Container, 'id'>): Promise<void> {
    this.#envs.delete(id)
    this.#taken.delete(id)
    const gate = this.#gateOf.get(id)
    this.#gateOf.delete(id)
    if (gate !== undefined) await this.#options.gates?.remove(gate)
  }

  #drop(instance: InstanceId): void {
    const waiting = this.#waiting.get(instance)
    this.#waiting.delete(instance)
    if (waiting !== undefined) this.#removeBehind(instance, waiting.container)
  }

  /** Resolves when no container of the instance is being made to wait, or removed after it has waited. */
  async settled(instance: InstanceId): Promise<void> {
    await this.#parking.get(instance)?.done
    await this.#removing.get(instance)
  }

  /**
   * Removes what an earlier run of the node has left at gates, and learns of containers whose gates were opened. Answers with the containers that run
   * their apps, and when they began to.
   */
  async adopt<T extends FoundOne>(found: readonly T[]): Promise<readonly T[]> {
    const adopted = (await mapAtMost(AT_ONCE, found, one => this.#adopt(one))).flat()
    const { gates, log } = this.#options
    if (!this.#hasSwept) {
      this.#hasSwept = true
      const names = new Set([...this.#gateOf.values()].map(({ name }) => name))
      gates?.keepOnly(names).catch(cause => log.warn('gates of an earlier run not removed', { cause }))
    }
    return adopted
  }

  async #adopt<T extends FoundOne>(one: T): Promise<readonly T[]> {
    const { containers, gates } = this.#options
    const { id, gate, pid: first } = one
    if (gates === undefined || gate === undefined || this.#gateOf.has(id)) return [one]
    const pid = first === 0 ? undefined : commandOf(first)
    const hasRun = pid === undefined ? one.hasParkedName !== true : !waitsAt(pid)
    this.#gateOf.set(id, gates.named(gate))
    if (!hasRun) {
      await containers.removeUnused(one)
      await this.forget(one)
      return []
    }
    const opened = await gates.opened(gate)
    const own = async (): Promise<readonly string[]> =>
      pid === undefined ? [] : ownOf(await environOf(pid).catch(() => []))
    this.#envs.set(id, opened?.env ?? (await own()))
    if (one.hasParkedName) {
      await containers.own(one)
      this.#nameBehind(one)
    }
    return [{ ...one, startedAt: opened?.at ?? one.startedAt }]
  }

  #gateProgram(): Promise<Buffer | undefined> {
    this.#program ??= this.#options.engine
      .ask(docker => docker.info())
      .then(({ Architecture }) => gateProgram(Architecture))
      .catch(error => {
        this.#program = undefined
        throw error
      })
    return this.#program
  }
}
