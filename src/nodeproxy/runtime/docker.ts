import { homedir } from 'node:os'
import type Docker from 'dockerode'
import { orAborted } from '../../lib/abort.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Log, noLog } from '../../lib/log.ts'
import type { LogLine } from '../../model/instance.ts'
import { type AppName, isAppName, type NodeName } from '../../model/names.ts'
import { credentialsFor } from './credentials.ts'
import { commandNotFound, failureOf, initFailure, isCut, isNoCommand, statusOf, toldBy } from './failures.ts'
import { imageName } from './image-name.ts'
import { hasInit, untilExecuted } from './init.ts'
import { linesOf, sinceOf } from './output.ts'
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
const HEARD_OF_WITHIN_MS = 250
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
  let client: Promise<Docker> | undefined
  let networkMade: Promise<void> | undefined
  let init: Promise<boolean> | undefined
  const present = new Set<string>()
  const stopSignals = new Map<string, string>()

  /** Calls Docker. A cut connection is tried once more: every call of ours may be repeated. */
  async function ask<T>(call: (docker: Docker) => Promise<T>): Promise<T> {
    // dockerode takes 130 ms to load. No AbortSignal and no agent go into its options: it inspects them whole at each call.
    client ??= import('dockerode').then(({ default: Client }) => new Client({ socketPath }))
    const connected = await client
    try {
      return await call(connected).catch(error => {
        if (isCut(error)) return call(connected)
        throw error
      })
    } catch (error) {
      throw failureOf(error, socketPath)
    }
  }

  const ensureNetwork = (): Promise<void> => {
    networkMade ??= makeNetwork().catch(error => {
      networkMade = undefined
      throw error
    })
    return networkMade
  }

  async function makeNetwork(): Promise<void> {
    const found = await ask(docker => docker.getNetwork(network).inspect()).catch(unlessStatus(404))
    if (found === undefined)
      await ask(docker =>
        docker.createNetwork({
          Name: network,
          Driver: 'bridge',
          CheckDuplicate: true,
          Labels: { shadow: 'network' },
          Options: { 'com.docker.network.bridge.enable_icc': 'false' }, // apps do not reach one another behind the front
        }),
      ).catch(unlessStatus(409))
    else if (found.Labels?.['shadow'] !== 'network')
      throw new ShadowError('already-exists', `Docker has a network "${network}" that is not ours`, {
        hint: `remove it: docker network rm ${network}`,
      })
  }

  const ensureInit = (): Promise<boolean> => {
    init ??= hasInit().then(there => {
      if (!there)
        log.warn('docker-init missing', { hint: 'apps that handle no SIGTERM take their whole grace; install tini' })
      return there
    })
    return init
  }

  async function pull(image: string, signal: AbortSignal): Promise<void> {
    const { registry, full } = imageName(image)
    try {
      const authconfig = await credentialsFor(registry, configFile)
      const progress = await orAborted(
        ask(docker => docker.pull(full, { ...(authconfig && { authconfig }) })),
        signal,
      )
      const followed = new Promise<void>((resolve, reject) =>
        ask(async docker => docker.modem.followProgress(progress, error => (error ? reject(error) : resolve()))).catch(
          reject,
        ),
      )
      await orAborted(followed, signal).finally(() => (progress as { destroy?: () => void }).destroy?.())
    } catch (error) {
      if (signal.aborted || error instanceof ShadowError) throw error
      throw new ShadowError('image-not-found', `image ${image} is not here and cannot be pulled: ${toldBy(error)}`, {
        cause: error,
        hint: `check its name, log in to its registry (docker login), or load it here: docker pull ${image}`,
      })
    }
  }

  async function ensureImage(image: string, signal: AbortSignal): Promise<void> {
    if (present.has(image)) return
    const found = await ask(docker => docker.getImage(image).inspect()).catch(unlessStatus(404))
    if (found === undefined) await pull(image, signal)
    present.add(image)
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
    await ensureNetwork()
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

  /** Waits for the end of the container; undefined where Docker does not know it. Aborting ends the call itself. */
  async function ended(container: Container, signal: AbortSignal): Promise<number | undefined> {
    const answer = await ask(docker => openStream(docker, 'POST', `/containers/${container.id}/wait`))
    const chunks: Buffer[] = []
    for await (const chunk of abortable(answer, signal)) chunks.push(chunk)
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
    signal.throwIfAborted()
    const opened = ask(docker => openStream(docker, 'GET', `/containers/${container.id}/logs?`, query))
    const answer = await orAborted(opened, signal).catch(error => {
      if (signal.aborted)
        opened.then(
          late => late.destroy(),
          () => undefined,
        )
      throw error
    })
    yield* linesOf(abortable(answer, signal))
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
    const told = lines.length === 0 ? 'it wrote nothing' : `its last lines:\n${lines.join('\n')}`
    return new ShadowError(
      'app-crashed',
      `${container.app} ended with exit code ${exitCode} before it was ready; ${told}`,
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

    ensureImage,

    create: (task, mountedAt, signal) =>
      unlessLeft(signal, async () => {
        try {
          return await createOnce(task, mountedAt)
        } catch (error) {
          if (isNoCommand(error)) throw commandNotFound(task.app, toldBy(error), error)
          if (statusOf(error) === 409) await removeLeftOver(task.app)
          else if (statusOf(error) === 404) {
            present.delete(task.image) // removed since we saw it
            await ensureImage(task.image, signal)
          } else throw error
        }
        return await createOnce(task, mountedAt)
      }),

    start: (container, signal) =>
      unlessLeft(signal, async () => {
        try {
          await startOnce(container).catch(async error => {
            if (statusOf(error) !== 404 || !toldBy(error).includes('network')) throw error
            networkMade = undefined // removed since we saw it
            await ensureNetwork()
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
      // Docker thaws a paused container itself when it gets its stop signal, or SIGKILL.
      await kill(container, stopSignal)
      if (await happens(end, clock, graceMs)) return
      await kill(container, 'SIGKILL')
      if (await happens(end, systemClock, KILLED_WITHIN_MS)) return
      giveUp.abort()
      throw new ShadowError('app-stuck', `${container.app} still runs ${KILLED_WITHIN_MS / 1000}s after SIGKILL`, {
        hint: `a process of it hangs in the kernel: docker top ${container.id.slice(0, 12)}`,
      })
    },

    async remove(container) {
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

    output: (container, since, signal) => output(container, { follow: true, since }, signal),

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

/** For `catch`: an answer of this status is no failure, and its value is undefined. */
const unlessStatus =
  (...statuses: number[]) =>
  (error: unknown): undefined => {
    if (!statuses.includes(statusOf(error) ?? 0)) throw error
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

type Answer = AsyncIterable<Buffer> & { destroy(): void }

/** Opens a call whose answer comes over time; a path with a query ends in `?` (dockerode cuts its last character off). */
function openStream(docker: Docker, method: string, path: string, options: object = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const statusCodes = { 200: true, 404: 'no such container', 500: 'server error' }
    docker.modem.dial({ path, method, options, isStream: true, statusCodes }, (error, answer) =>
      error ? reject(error) : resolve(answer as Answer),
    )
  })
}

/** The chunks until they end, or until the signal aborts: then the connection is closed and its reason thrown. */
async function* abortable(answer: Answer, signal: AbortSignal): AsyncGenerator<Buffer> {
  const leave = (): void => answer.destroy()
  signal.addEventListener('abort', leave, { once: true })
  try {
    if (signal.aborted) leave()
    yield* answer
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  } finally {
    signal.removeEventListener('abort', leave)
    answer.destroy()
  }
  signal.throwIfAborted()
}
