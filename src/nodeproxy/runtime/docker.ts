import { homedir } from 'node:os'
import type Docker from 'dockerode'
import { orAborted } from '../../lib/abort.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Log, noLog } from '../../lib/log.ts'
import { Turn } from '../../lib/turn.ts'
import type { LogLine } from '../../model/instance.ts'
import { withLastLines } from '../../model/last-lines.ts'
import { type AppName, isAppName, type NodeName } from '../../model/names.ts'
import { dockerEngine, unlessStatus } from './docker-engine.ts'
import { DockerImages } from './docker-images.ts'
import { DockerNetwork } from './docker-network.ts'
import { commandNotFound, initFailure, isNoCommand, statusOf, toldBy } from './failures.ts'
import { hasInit, untilExecuted } from './init.ts'
import { LastLine, linesOf, sinceOf } from './output.ts'
import { type Container, type Exit, LABEL_APP, LABEL_NODE, LABEL_REVISION, type Runtime } from './runtime.ts'
import { containerName, specificationOf } from './specification.ts'

export type DockerOptions = {
  readonly node: NodeName
  readonly clock?: Clock
  readonly log?: Log
  readonly socketPath?: string
  /** The bridge network that apps are on; made where it is missing. */
  readonly network?: string
  /** Where `docker login` keeps credentials. */
  readonly configFile?: string
}

// How long SIGKILL may take, and how long a call to Docker is waited for after its caller has left.
const KILLED_WITHIN_MS = 30_000
const LINGER_MS = 5_000
// Containers that leave their network at once can lock dockerd 20.10 up (contrib/decisions/011): so each ends by itself, as long as it
// ends soon after its signal.
const ENDS_ALONE_MS = 500
const HEARD_OF_WITHIN_MS = 250
const READ_WITHIN_MS = 1_000
const LAST_LINES = 20

/** Runs containers by the Docker daemon of this machine, each as `shadow-<node>-<app>` on our own bridge network. */
export function docker({
  node,
  clock = systemClock,
  log = noLog,
  socketPath = '/var/run/docker.sock',
  network = 'shadow',
  configFile = `${homedir()}/.docker/config.json`,
}: DockerOptions): Runtime {
  const engine = dockerEngine(socketPath)
  const { ask } = engine
  const endsAlone = new Turn()
  const images = new DockerImages(engine, configFile)
  const bridge = new DockerNetwork(engine, network)
  let init: Promise<boolean> | undefined
  const stopSignals = new Map<string, string>()
  const readers = new Map<string, Set<Promise<void>>>()

  const ensureInit = (): Promise<boolean> => {
    init ??= hasInit().then(there => {
      if (!there)
        log.warn('docker-init missing', { hint: 'apps that handle no SIGTERM take their whole grace; install tini' })
      return there
    })
    return init
  }

  /** Removes a container that has our name, if it is ours. */
  async function removeLeftOver(app: AppName): Promise<void> {
    const name = containerName(node, app)
    const found = await ask(docker => docker.getContainer(name).inspect()).catch(unlessStatus(404))
    if (found === undefined) return
    const labels = found.Config.Labels ?? {}
    if (labels[LABEL_NODE] !== node || labels[LABEL_APP] !== app)
      throw new ShadowError('already-exists', `Docker has a container "${name}" that is not ours`, {
        hint: `rename it: docker rename ${name} OTHER`,
      })
    await ask(docker => docker.getContainer(found.Id).remove({ force: true, v: true })).catch(unlessStatus(404))
  }

  async function createOnce(task: Parameters<Runtime['create']>[0], mountedAt: string | undefined): Promise<Container> {
    await bridge.ensure()
    const specification = specificationOf(task, { node, network, init: await ensureInit(), mountedAt })
    const made = await ask(docker => docker.createContainer(specification))
    return { id: made.id, app: task.app, revision: task.revision }
  }

  async function startOnce(container: Container): Promise<void> {
    await ask(docker => docker.getContainer(container.id).start()).catch(unlessStatus(304))
  }

  const inspect = (container: Container): Promise<Docker.ContainerInspectInfo> =>
    ask(docker => docker.getContainer(container.id).inspect())

  const kill = (container: Container, signal: string): Promise<unknown> =>
    ask(docker => docker.getContainer(container.id).kill({ signal })).catch(unlessStatus(404, 409))

  /** Waits for the container's end, and answers its exit code. */
  async function ended(container: Container, signal: AbortSignal): Promise<number> {
    const chunks: Buffer[] = []
    for await (const chunk of engine.stream({ method: 'POST', path: `/containers/${container.id}/wait` }, signal))
      chunks.push(chunk)
    const told = JSON.parse(Buffer.concat(chunks).toString()) as { StatusCode: number }
    return told.StatusCode
  }

  async function* output(
    container: Container,
    options: { follow: boolean; since?: string | undefined; tail?: number },
    signal: AbortSignal,
  ): AsyncGenerator<LogLine> {
    const { follow, since, tail } = options
    const query = {
      stdout: true,
      stderr: true,
      timestamps: true,
      follow,
      ...(since !== undefined && { since: sinceOf(since) }),
      ...(tail !== undefined && { tail }),
    }
    yield* linesOf(engine.stream({ method: 'GET', path: `/containers/${container.id}/logs?`, options: query }, signal))
  }

  /** The output as it comes; until it has been read to its end, or the reader has left, the container is not removed. */
  async function* followed(
    container: Container,
    since: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<LogLine> {
    const reading = Promise.withResolvers<void>()
    const ofContainer = readers.get(container.id) ?? new Set()
    readers.set(container.id, ofContainer.add(reading.promise))
    const leave = (): void => reading.resolve()
    signal.addEventListener('abort', leave, { once: true })
    const last = new LastLine()
    try {
      for await (const line of output(container, { follow: true, since }, signal)) {
        last.saw(line)
        yield line
      }
      // Docker ends a stream that it follows a little early at times (moby/moby#43860): the rest is read from what it has stored.
      for await (const line of output(container, { follow: false, since: last.since ?? since }, signal))
        if (last.isBefore(line)) yield line
    } finally {
      signal.removeEventListener('abort', leave)
      leave()
      ofContainer.delete(reading.promise)
      if (ofContainer.size === 0) readers.delete(container.id)
    }
  }

  /** Docker hears of an end a little later than /proc; where that is of another machine, there is none to be heard of. */
  async function knownToHaveEnded(container: Container): Promise<void> {
    const giveUp = new AbortController()
    await happens(ended(container, giveUp.signal), systemClock, HEARD_OF_WITHIN_MS)
    giveUp.abort()
  }

  /** Why a container that was started does not run any more. */
  async function endedAtOnce(container: Container, exitCode: number): Promise<ShadowError> {
    const lines: string[] = []
    for await (const { line } of output(container, { follow: false, tail: LAST_LINES }, AbortSignal.timeout(LINGER_MS)))
      lines.push(line)
    const missing = exitCode === 126 || exitCode === 127 ? initFailure(lines) : undefined
    if (missing !== undefined) return commandNotFound(container.app, missing)
    return new ShadowError(
      'app-crashed',
      withLastLines(`${container.app} ended with exit code ${exitCode} before it was ready`, lines),
      {
        hint: `shadow logs ${container.app}`,
        facts: { exitCode },
      },
    )
  }

  return {
    alive: signal =>
      orAborted(
        ask(docker => docker.ping()),
        signal,
      ).then(
        () => true,
        () => false,
      ),

    ensureImage: (image, signal) => images.ensure(image, signal),

    create: (task, mountedAt, signal) =>
      unlessLeft(signal, async () => {
        try {
          return await createOnce(task, mountedAt)
        } catch (error) {
          if (isNoCommand(error)) throw commandNotFound(task.app, toldBy(error), error)
          if (statusOf(error) === 409) await removeLeftOver(task.app)
          else if (statusOf(error) === 404) {
            await images.ensureAgain(task.image, signal)
          } else throw error
        }
        return await createOnce(task, mountedAt)
      }),

    start: (container, signal) =>
      unlessLeft(signal, async () => {
        try {
          await startOnce(container).catch(async error => {
            if (statusOf(error) !== 404 || !toldBy(error).includes('network')) throw error
            await bridge.remake()
            await startOnce(container)
          })
        } catch (error) {
          if (isNoCommand(error)) throw commandNotFound(container.app, toldBy(error), error)
          throw error
        }
        let found = await inspect(container)
        // docker-init runs before the command is known to be there; by now it has nearly always gone on to it.
        if (found.State.Running && found.HostConfig.Init && !(await untilExecuted(found.State.Pid))) {
          await knownToHaveEnded(container)
          found = await inspect(container)
        }
        if (!found.State.Running) throw await endedAtOnce(container, found.State.ExitCode)
        stopSignals.set(container.id, stopSignalOf(found))
        return ipOf(found.NetworkSettings.Networks, network) ?? ''
      }),

    async stop(container, graceMs) {
      const found = stopSignals.has(container.id) ? undefined : await inspect(container).catch(unlessStatus(404))
      const stopSignal = stopSignals.get(container.id) ?? stopSignalOf(found)
      const giveUp = new AbortController()
      const end = ended(container, giveUp.signal).catch(unlessStatus(404))
      end.catch(() => undefined) // if Docker goes away before we wait for it below, the kill tells of that
      const killed = async (signal: string, on: Clock, withinMs: number): Promise<boolean> => {
        await kill(container, signal)
        return happens(end, on, withinMs)
      }
      // Docker thaws a paused container itself when it gets its stop signal, or SIGKILL.
      const until = clock.now() + graceMs
      const together = Math.min(graceMs, ENDS_ALONE_MS)
      if (await endsAlone.take(() => killed(stopSignal, systemClock, together))) return
      if (await happens(end, clock, Math.max(0, until - clock.now()))) return
      if (await endsAlone.take(() => killed('SIGKILL', systemClock, KILLED_WITHIN_MS))) return
      giveUp.abort()
      throw new ShadowError('app-stuck', `${container.app} still runs ${KILLED_WITHIN_MS / 1000}s after SIGKILL`, {
        hint: `a process of it hangs in the kernel: docker top ${container.id.slice(0, 12)}`,
      })
    },

    async remove(container) {
      await happens(Promise.all(readers.get(container.id) ?? []), systemClock, READ_WITHIN_MS)
      await ask(docker => docker.getContainer(container.id).remove({ v: true })).catch(error => {
        if (statusOf(error) === 409 && toldBy(error).includes('already in progress')) return
        return unlessStatus(404)(error)
      })
      stopSignals.delete(container.id)
    },

    async exited(container, signal): Promise<Exit | undefined> {
      const exitCode = await ended(container, signal).catch(error => {
        signal.throwIfAborted()
        log.debug('container lost sight of', { app: container.app, cause: error })
        return undefined
      })
      if (exitCode === undefined) return undefined
      const found = await inspect(container).catch(() => undefined) // removed meanwhile: what we know is enough
      return { exitCode, outOfMemory: found?.State.OOMKilled ?? false }
    },

    output: followed,

    async leftBehind() {
      const filters = { label: [`${LABEL_NODE}=${node}`] }
      const listed = await ask(docker => docker.listContainers({ all: true, filters }))
      const found = await Promise.all(
        listed.map(async ({ Id }) => {
          const there = await ask(docker => docker.getContainer(Id).inspect()).catch(unlessStatus(404))
          const app = there?.Config.Labels[LABEL_APP] ?? ''
          if (there === undefined || !isAppName(app)) return []
          const revision = Number(there.Config.Labels[LABEL_REVISION] ?? 0)
          const ip = ipOf(there.NetworkSettings.Networks, network)
          return { id: Id, app, revision, running: there.State.Running, ip, startedAt: there.State.StartedAt }
        }),
      )
      return found.flat()
    },
  }
}

const ipOf = (networks: Record<string, { IPAddress: string }> | undefined, network: string): string | undefined =>
  networks?.[network]?.IPAddress || undefined

/** The signal that the image wants to be stopped by: databases and nginx ask for others than SIGTERM. */
const stopSignalOf = (found: Docker.ContainerInspectInfo | undefined): string =>
  (found?.Config as { StopSignal?: string } | undefined)?.StopSignal || 'SIGTERM'

/**
 * Does a deed unless the caller has left. When the caller leaves during it, it is waited for all the same, for a while: a
 * container that Docker makes after the undo has looked would be nobody's.
 */
async function unlessLeft<T>(signal: AbortSignal, deed: () => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const doing = deed()
  try {
    return await orAborted(doing, signal)
  } catch (error) {
    if (signal.aborted) await happens(doing, systemClock, LINGER_MS)
    throw error
  }
}

/** Whether the promise settles within the time. */
function happens(promise: Promise<unknown>, clock: Clock, ms: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => resolve(false))
    promise.then(() => resolve(true), reject).finally(() => timer[Symbol.dispose]())
  })
}
