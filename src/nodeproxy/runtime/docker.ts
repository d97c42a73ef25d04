import { homedir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { orAborted, resolvesWithin } from '../../lib/abort.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Exec, exec as execHere } from '../../lib/exec.ts'
import { type Log, noLog } from '../../lib/log.ts'
import type { Seals } from '../../lib/seals.ts'
import type { Command } from '../../model/exec.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import { withLastLines } from '../../model/last-lines.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { WireCredential } from '../../model/wire.ts'
import { inForeground, sayExit } from '../postmortem.ts'
import { noHealthcheck } from '../ready-health.ts'
import { AddressedContainers, type Wanted } from './addressed-containers.ts'
import { AppNetworks } from './app-networks.ts'
import { portsLeft } from './bridge-ports.ts'
import { memberIn } from './companion-names.ts'
import { connectTo } from './container-port.ts'
import { ContainerRecords } from './container-records.ts'
import { DockerCommands } from './docker-commands.ts'
import { attachTo, consoleFields, consoleTerminal } from './docker-console.ts'
import { cpusOf, DockerContainers } from './docker-containers.ts'
import { dockerEngine, unlessStatus } from './docker-engine.ts'
import { DockerExec, KILLED } from './docker-exec.ts'
import { DockerFiles } from './docker-files.ts'
import { DockerFolders } from './docker-folders.ts'
import { hasCheck, healthOf, NOT_YET_HEALTHY } from './docker-health.ts'
import { DockerImages, type StoredImages } from './docker-images.ts'
import { DockerOutput } from './docker-output.ts'
import { dockerStats } from './docker-stats.ts'
import { DockerStop } from './docker-stop.ts'
import { commandNotFound, initFailure, isNoCommand, messageOf, runcFailure } from './failures.ts'
import { type EgressMode, Firewall } from './firewall.ts'
import { Freezer } from './freezer.ts'
import { untilExecuted } from './init.ts'
import type { NamedEgress } from './named-egress.ts'
import { openNetworks } from './networks/open.ts'
import { Gates } from './parked/gates.ts'
import { ParkedContainers } from './parked/parked-containers.ts'
import { Processes } from './processes.ts'
import { isRefusal, orRefused, refused } from './refused.ts'
import { RefusedConnections } from './refused-connections.ts'
import type { Container, FoundContainer, ImageFacts, Runtime } from './runtime.ts'
import { hiddenBy } from './source-mount.ts'
import { egressOf } from './specification.ts'
import { printSubnet } from './subnets.ts'
import { swapOut } from './swap-out.ts'

export type DockerOptions = {
  readonly node: NodeName
  readonly clock?: Clock
  readonly log?: Log
  readonly socketPath?: string
  /** The first bridge network that apps are on; made where it is missing. The further ones have its name with a number. */
  readonly network?: string
  /** How many containers a network has at most; left out: as many as a bridge of Linux carries. */
  readonly mostPorts?: number
  /** How many networks are made before containers need them. */
  readonly preparedNetworks?: number
  /** Where the turn of the containers' addresses is kept over restarts. */
  readonly addressesFile?: string
  /** Where `docker login` keeps credentials. */
  readonly configFile?: string
  /** Left out: images of the masters' store cannot be run. */
  readonly storedImages?: StoredImages
  readonly egress?: EgressMode
  /** Ports of this machine that every app may reach. */
  readonly frontPorts?: readonly number[]
  readonly exec?: Exec
  /** Has the folders with the sockets over which apps speak to this node; left out: apps have none. */
  readonly sockets?: string | undefined
  /** The records of our containers. Without them, name and labels make a container ours. */
  readonly records?: { readonly folder: string; readonly isUpgrade: boolean }
  /** The folder with the gates of parked containers; left out: none is parked. */
  readonly gates?: { readonly folder: string; readonly seals: Seals } | undefined
  /** The folder with the sources of apps, named by their digests. */
  readonly sources?: string
  /** Serves apps whose definition names domains; left out: they are not run. */
  readonly named?: NamedEgress
  /** The secrets that requests of the instance get, as far as they are known: for containers of an earlier run. */
  readonly wireOf?: (instance: InstanceId) => readonly WireCredential[]
  /** Whether another app uses this one, as far as that is known. */
  readonly isUsed?: (app: AppName) => boolean
}

// How long a call to Docker is waited for after its caller has left.
const LINGER_MS = 5_000
const HEARD_OF_WITHIN_MS = 250
const CLOSES_WITHIN_MS = 5_000
const LAST_LINES = 20
const OOM_TOLD_FIRST_MS = 10
const OOM_TOLD_LAST_MS = 160
const MOST_CHECKED = 1_000

/** Runs containers by the Docker daemon of this machine, each as `shadow-<node>-<instance>` on our own bridge networks. */
export function docker({
  node,
  clock = systemClock,
  log = noLog,
  socketPath = '/var/run/docker.sock',
  network = `shadow-${node}`,
  mostPorts,
  preparedNetworks = 0,
  addressesFile,
  configFile = `${homedir()}/.docker/config.json`,
  storedImages,
  egress = 'on',
  frontPorts = [],
  exec = execHere,
  sockets,
  records: recordsAt,
  gates,
  sources,
  named,
  wireOf,
  isUsed = () => false,
}: DockerOptions): Runtime {
  const engine = dockerEngine(socketPath)
  const images = new DockerImages(engine, configFile, storedImages)
  const firewall = new Firewall({ exec, log, mode: egress, frontPorts, named })
  const onRemoved = (name: string): Promise<void> => firewall.drop(name)
  const networks = new AppNetworks({ engine, node, name: network, addressesFile, mostPorts, onRemoved, clock, log })
  const isOurs = (name: string): boolean => networks.isOurs(name)
  const records = recordsAt && new ContainerRecords({ ...recordsAt, log })
  const containers = new DockerContainers({ engine, node, network, isOurs, records, sockets, sources, log })
  const folders = new DockerFolders({ engine, node })
  const files = new DockerFiles(engine)
  /** Containers whose address has its rules. */
  const allowed = new Set<string>()
  /** Images with definitions that were found to be good. */
  const checked = new Set<string>()
  const commands = new DockerCommands(engine)
  const commandsBeside = new DockerExec(engine)
  const output = new DockerOutput(engine)
  const freezer = new Freezer(containers)
  const stops = new DockerStop(containers, freezer, clock)
  const processes = new Processes()
  const refusedConnections = new RefusedConnections()

  const forNetworks = { engine, node, networks, stops, clock, log }
  const { prepared, held } = openNetworks({ ...forNetworks, size: preparedNetworks })
  const addressed = new AddressedContainers({
    ...{ containers, images, networks, firewall, prepared, held, refusedConnections, named, isUsed, log },
    makesRules: egress !== 'off',
  })
  const parked = new ParkedContainers({
    ...{ engine, containers, addressed, networks, commands, stops, processes, freezer, log },
    gates: gates && new Gates({ ...gates, exec, log }),
  })

  async function create(wanted: Wanted, signal: AbortSignal): Promise<Container> {
    return (await parked.take(wanted)) ?? (await addressed.create(wanted, signal))
  }

  /** Checks the command in a container that is never started. Docker checks the rest when it makes that container. */
  async function check(task: TaskDefinition, signal: AbortSignal): Promise<ImageFacts> {
    const image = await images.ensure(task.image, signal, task).catch(orRefused(task))
    const pinned = { ...task, pinned: image }
    const key = JSON.stringify([image.id, { ...task, revision: 0, createdAt: '' }])
    if (checked.has(key)) return image
    const id = await containers.createForCheck(pinned).catch(error => {
      if (isNoCommand(error)) throw commandNotFound(task.app, messageOf(error), error)
      return orRefused(task)(error)
    })
    try {
      const { Config } = await containers.inspect({ id })
      if (task.ready.kind === 'healthcheck' && !hasCheck(Config)) throw noHealthcheck(task.app)
      const missing = await commands.missing(id, Config, hiddenBy(task))
      if (missing !== undefined) throw commandNotFound(task.app, missing)
    } finally {
      await containers.removeUnused({ id })
    }
    if (checked.size >= MOST_CHECKED) checked.clear()
    checked.add(key)
    return image
  }

  async function start(container: Container, signal: AbortSignal): Promise<string> {
    if (parked.isShut(container)) {
      await prepared.during(() => parked.open(container, signal))
      allowed.add(container.id)
      return addressed.addressOf(container) ?? ''
    }
    try {
      await prepared.during(() => addressed.start(container))
    } catch (error) {
      if (isNoCommand(error)) throw await noCommand(container, messageOf(error), error)
      throw isRefusal(error) ? refused(container.app, error) : error
    }
    let found = await containers.inspect(container)
    // docker-init runs before the command is known to be there; by now it has nearly always gone on to it.
    if (found.State.Running && found.HostConfig.Init && !(await untilExecuted(found.State.Pid))) {
      await knownToHaveEnded(container)
      found = await containers.inspect(container)
    }
    if (!found.State.Running) throw await endedAtOnce(container, found.State.ExitCode)
    stops.learn(container, found)
    await processes.learn(container, found.State.Pid)
    await freezer.learn(container, found.State.Pid, found.State.Paused)
    const ip = (held.has(container) ? addressed.addressOf(container) : containers.ipOf(found)) ?? ''
    await networks.takeIPv6Off(ip)
    await firewall.allow(ip, egressOf(found.Config.Labels), memberIn(found.Config.Labels))
    allowed.add(container.id)
    return ip
  }

  async function startConsole(instance: InstanceId, task: TaskDefinition, command: Command, signal: AbortSignal) {
    const { command: words, env } = command
    const own = { ...task, command: words, env: { ...task.env, ...env } }
    const container = await addressed.create(
      { instance, key: instance, task: own, mountedAt: undefined, hasSocket: false, more: consoleFields(command) },
      signal,
    )
    try {
      const socket = await attachTo(engine, container)
      await addressed.start(container)
      const terminal = consoleTerminal({ engine, containers, container, socket, command })
      if (command.tty !== undefined) await terminal.resize(command.tty)
      return { container, terminal }
    } catch (error) {
      await remove(container)
      throw isNoCommand(error) ? commandNotFound(task.app, messageOf(error), error) : error
    }
  }

  async function remove(container: Container): Promise<void> {
    await output.untilRead(container)
    await containers.remove(container)
    await parked.forget(container)
    await parked.settled(container.instance) // it may hold the volume, too
    stops.forget(container)
    processes.forget(container)
    freezer.forget(container)
    allowed.delete(container.id)
    await addressed.left(container)
  }

  /** Restores rules that something else changed, and adds the rules for running containers of an earlier run. */
  async function checkFirewall(found: readonly FoundContainer[]): Promise<void> {
    try {
      const here = await networks.here()
      if (here.length === 0) return
      prepared.open()
      for (const one of found) {
        if (!one.running || one.ip === undefined || allowed.has(one.id)) continue
        const { Config } = await containers.inspect(one)
        firewall.credentials(one.ip, wireOf?.(one.instance) ?? [])
        const list = records?.egressOf(one.key ?? one.instance, one.id) ?? egressOf(Config.Labels)
        await firewall.allow(one.ip, list, memberIn(Config.Labels))
        allowed.add(one.id)
      }
      await firewall.ensureAll(here.filter(({ network: name }) => networks.isOurs(name)))
    } catch (cause) {
      log.error('rules of egress not checked', { cause }) // the next start of a container checks them again, and fails
    }
  }

  /** Waits a moment until Docker knows of an end, which /proc shows earlier. */
  async function knownToHaveEnded(container: Container): Promise<void> {
    const giveUp = new AbortController()
    await resolvesWithin(containers.ended(container, giveUp.signal), systemClock, HEARD_OF_WITHIN_MS)
    giveUp.abort()
  }

  /** The kernel says "no such file" also of a program that is there, when it is a script whose interpreter is not. */
  async function noCommand(container: Container, message: string, cause?: unknown): Promise<ShadowError> {
    const missingFile = async (): Promise<string | undefined> => {
      if (!/no such file/i.test(message)) return undefined
      return commands.missing(container.id, (await containers.inspect(container)).Config)
    }
    const missing = await missingFile().catch(() => undefined) // then the runtime's own message has to do
    return commandNotFound(container.app, missing?.includes(' is there, ') ? missing : message, cause)
  }

  /** Why a container that was started does not run any more. */
  async function endedAtOnce(container: Container, exitCode: number): Promise<ShadowError> {
    const lines = await output.last(container, LAST_LINES)
    const missing = exitCode === 126 || exitCode === 127 ? initFailure(lines) : undefined
    if (missing !== undefined) return noCommand(container, missing)
    const tooLate = runcFailure(lines)
    if (tooLate !== undefined) return refused(container.app, new Error(tooLate))
    return new ShadowError(
      'app-crashed',
      withLastLines(`${container.app} ended with ${sayExit({ exitCode })} before it was ready`, lines),
      { hint: exitCode === 0 ? inForeground(container.app) : `shadow logs ${container.app}`, facts: { exitCode } },
    )
  }

  /** Docker hears of a kill for want of memory by another event than of the end that it leads to, and on a busy machine by the later one. */
  async function wasOutOfMemory(container: Container, exitCode: number): Promise<boolean> {
    for (let ms = OOM_TOLD_FIRST_MS; ; ms *= 2) {
      const found = await containers.inspect(container).catch(() => undefined) // removed meanwhile: what we know is enough
      if (found?.State.OOMKilled) return true
      if (found === undefined || exitCode !== KILLED || ms > OOM_TOLD_LAST_MS) return false
      await sleep(ms)
    }
  }

  async function limitCpus(container: Pick<Container, 'id'>, cpus: number | undefined): Promise<void> {
    // This limit is set past Docker, which goes on saying what the definition says.
    const given = async (): Promise<number | undefined> => {
      const found = await containers.inspect(container).catch(unlessStatus(404))
      return found && cpusOf(found)
    }
    const limit = await given()
    if (limit !== undefined) await processes.limitCpus(container, Math.min(limit, cpus ?? limit))
  }

  return {
    alive: signal =>
      orAborted(
        engine.ask(docker => docker.ping()),
        signal,
      ).then(
        () => true,
        () => false,
      ),
    ensureImage: (image, signal, of) => images.ensure(image, signal, of),
    findImage: (image, signal) => images.find(image, signal),
    images: () => images.all(),
    check: (task, signal) => unlessLeft(signal, () => check(task, signal)),
    create: (instance, task, mountedAt, signal, key = instance) =>
      unlessLeft(signal, () => prepared.during(() => create({ instance, key, task, mountedAt }, signal))),
    statFile: (...asked) => files.stat(...asked),
    readFiles: (...asked) => files.read(...asked),
    writeFiles: (...asked) => files.write(...asked),
    copyFolder: (task, at, signal) => unlessLeft(signal, () => folders.copy(task, at, signal).catch(orRefused(task))),
    start: (container, signal) => unlessLeft(signal, () => start(container, signal)),
    park: (instance, task, mountedAt, signal) =>
      prepared.during(() => parked.park(instance, task, mountedAt, signal).catch(orRefused(task))),
    isParked: instance => parked.has(instance),
    portsLeft: async () => (networks.first.isKnown ? portsLeft((await networks.first.at()).bridge) : undefined),
    unpark: instance => parked.remove(instance),
    // What waits at a gate does not hear the signal of an app.
    stop: (container, graceMs) => stops.stop(container, parked.isShut(container) ? 0 : graceMs),
    async freeze(container) {
      // Docker checks its health by commands in it, which would hang there.
      const { Config } = await containers.inspect(container)
      await freezer.freeze(container, hasCheck(Config))
    },
    swapOut: container => swapOut(container, processes.pidOf(container)),
    isFrozen: container => freezer.isFrozen(container),
    thaw: container => freezer.goOn(container),

    remove,

    async exited(container, signal) {
      using _ = held.endsWithNetwork(container)
      const exitCode = await containers.ended(container, signal).catch(error => {
        signal.throwIfAborted()
        log.debug('container lost sight of', { app: container.app, cause: error })
        return undefined
      })
      if (exitCode === undefined) return undefined
      return { exitCode, outOfMemory: await wasOutOfMemory(container, exitCode) }
    },

    async runs(container) {
      const lives = await processes.lives(container)
      if (lives !== undefined) return lives
      const found = await containers.inspect(container).catch(unlessStatus(404))
      return found?.State.Running === true
    },
    areGone: container => processes.areGone(container),
    memoryKills: container => processes.memoryKills(container),
    cpuMs: container => processes.cpuMs(container),
    usage: async container =>
      processes.knows(container) ? processes.usage(container) : dockerStats(engine, container),
    load: async container => (processes.knows(container) ? processes.load(container) : dockerStats(engine, container)),
    limitCpus,
    async setEgress(container, list) {
      const ip = addressed.addressOf(container)
      if (ip === undefined) throw new Error(`container ${container.id} has no address`)
      const { Config } = await containers.inspect(container)
      // First on the disk: what is closed now stays closed, whenever the node is started again.
      await records?.changeEgress(container.key ?? container.instance, container.id, list)
      await firewall.allow(ip, list, memberIn(Config.Labels))
      firewall.mustHold(addressed.networkOf(container), list)
    },
    listening: container => processes.listening(container),
    async health(container) {
      const found = await containers.inspect(container).catch(unlessStatus(404))
      return found === undefined ? NOT_YET_HEALTHY : healthOf(found) // the watch for its end reports that it is gone
    },
    connect: (container, port, signal) => {
      const ip = addressed.addressOf(container) ?? ''
      return connectTo({ app: container.app, ip, port, pid: processes.pidOf(container) }, signal)
    },
    console: (instance, task, command, signal) =>
      unlessLeft(signal, () => startConsole(instance, task, command, signal).catch(orRefused(task))),
    stats: container => dockerStats(engine, container),
    exec: (container, command, signal) =>
      commandsBeside.start(container, { ...command, env: { ...parked.envOf(container), ...command.env } }, signal),
    output: (container, since, signal) => output.follow(container, since, signal),
    async leftBehind() {
      await networks.open()
      const { containers: all, holders: left } = await containers.all(id => parked.isWaiting(id))
      const found = await parked.adopt(all)
      for (const one of await held.adopt(found, left)) {
        await freezer.learn(one, one.pid, one.isPaused)
        await stops.kill(one)
      }
      for (const one of found) {
        const { id, pid, isPaused, cpus } = one
        if (!addressed.adopt(one)) continue
        await processes.learn({ id }, pid)
        await freezer.learn({ id }, pid, isPaused)
        await processes.limitCpus({ id }, cpus) // an earlier run of this node may have slowed it
      }
      await checkFirewall(found)
      return found.map(({ cpus: _, ...one }) => one)
    },
    layers: () => containers.layers(id => parked.isWaiting(id)),
    async networks() {
      await networks.open()
      await networks.first.ensure()
      return networks.all.flatMap(one => (one.isKnown ? [printSubnet(one.subnet)] : []))
    },
    refusedConnections: () => refusedConnections.counts(firewall.bridges),
    refusedNames: () => refusedConnections.byInstance(ip => named?.refused(ip) ?? []),
    openPorts: ports => firewall.openPorts(ports),
    async close() {
      const closed = Promise.all([prepared.close(), parked.close()]).then(() => networks.close())
      await resolvesWithin(closed, systemClock, CLOSES_WITHIN_MS) // what is left then, the next run of the node removes
    },
  }
}

/**
 * Calls Docker unless the caller has cancelled. If the caller cancels during the call, still waits for it for a while: a container that
 * Docker makes after the undo has listed the containers would have no owner.
 */
async function unlessLeft<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const running = call()
  try {
    return await orAborted(running, signal)
  } catch (error) {
    if (signal.aborted) await resolvesWithin(running, systemClock, LINGER_MS)
    throw error
  }
}
