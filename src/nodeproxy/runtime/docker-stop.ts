import type Docker from 'dockerode'
import { resolvesWithin } from '../../lib/abort.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { Mutex } from '../../lib/mutex.ts'
import type { DockerContainers } from './docker-containers.ts'
import { unlessStatus } from './docker-engine.ts'
import type { Freezer } from './freezer.ts'
import type { Container } from './runtime.ts'

// How long SIGKILL may take.
const KILLED_WITHIN_MS = 30_000
// Containers that leave their network at once can lock dockerd 20.10 up (contrib/decisions/011): so each ends by itself, as long as it
// ends soon after its signal.
const ENDS_ALONE_MS = 500

/** How containers are stopped: by the signal that their image asks for, and by SIGKILL after their grace. */
export class DockerStop {
  readonly #containers: DockerContainers
  readonly #freezer: Pick<Freezer, 'thaw'>
  readonly #clock: Clock
  readonly #endsAlone = new Mutex()
  /** By which signal each wants to be stopped, by its id: so that a sleep need not ask Docker. */
  readonly #signals = new Map<string, string>()

  constructor(containers: DockerContainers, freezer: Pick<Freezer, 'thaw'>, clock: Clock) {
    this.#containers = containers
    this.#freezer = freezer
    this.#clock = clock
  }

  /** Remembers how a container that runs wants to be stopped. */
  learn({ id }: Container, found: Docker.ContainerInspectInfo): void {
    this.#signals.set(id, stopSignalOf(found))
  }

  forget({ id }: Container): void {
    this.#signals.delete(id)
  }

  /** Kills it at once, frozen or not; does not wait for its end. */
  async kill(container: Container): Promise<void> {
    await this.#containers.kill(container, 'SIGKILL')
    await this.#freezer.thaw(container)
  }

  /** Does the work while no container is being stopped: work by which a container leaves its network. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#endsAlone.take(work)
  }

  /** Resolves when it has ended, gone or stopped already included; fails with `app-stuck`. */
  async stop(container: Container, graceMs: number): Promise<void> {
    const stopSignal = this.#signals.get(container.id) ?? (await this.#stopSignalOf(container))
    const giveUp = new AbortController()
    const end = this.#containers.ended(container, giveUp.signal).catch(unlessStatus(404))
    end.catch(() => undefined) // if Docker goes away before the wait below, the kill fails with that
    const killed = async (signal: string, withinMs: number): Promise<boolean> => {
      await this.#containers.kill(container, signal)
      await this.#freezer.thaw(container) // what is frozen has the signal before it runs on
      return resolvesWithin(end, systemClock, withinMs)
    }
    // Docker thaws a paused container itself when it gets its stop signal, or SIGKILL.
    const until = this.#clock.now() + graceMs
    const together = Math.min(graceMs, ENDS_ALONE_MS)
    try {
      if (await this.#endsAlone.take(() => killed(stopSignal, together))) return
      if (await resolvesWithin(end, this.#clock, Math.max(0, until - this.#clock.now()))) return
      if (await this.#endsAlone.take(() => killed('SIGKILL', ENDS_ALONE_MS))) return
      if (await resolvesWithin(end, systemClock, KILLED_WITHIN_MS - ENDS_ALONE_MS)) return
    } finally {
      giveUp.abort()
    }
    throw new ShadowError('app-stuck', `${container.app} still runs ${KILLED_WITHIN_MS / 1000}s after SIGKILL`, {
      hint: `a process of it hangs in the kernel: docker top ${container.id.slice(0, 12)}`,
    })
  }

  async #stopSignalOf(container: Container): Promise<string> {
    return stopSignalOf(await this.#containers.inspect(container).catch(unlessStatus(404)))
  }
}

/** The signal that the image wants to be stopped by: databases and nginx ask for others than SIGTERM. */
const stopSignalOf = (found: Docker.ContainerInspectInfo | undefined): string =>
  (found?.Config as { StopSignal?: string } | undefined)?.StopSignal || 'SIGTERM'
