import { ShadowError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { namesDomains } from '../../../model/egress.ts'
import { appOf, type InstanceId, isPlain, type RunKey } from '../../../model/instance-id.ts'
import type { AppName } from '../../../model/names.ts'
import type { TaskDefinition } from '../../../model/task.ts'
import { messageOf, statusOf } from '../failures.ts'
import type { Container, FoundContainer } from '../runtime.ts'
import { type Holder, isUnnamed, type NetworkHolders } from './network-holders.ts'
import type { PreparedNetworks } from './prepared-networks.ts'

type Options = {
  readonly prepared: Pick<PreparedNetworks, 'take' | 'discard'>
  readonly holders: Pick<NetworkHolders, 'run' | 'start' | 'rename' | 'ended'>
  readonly kill: (container: Container) => Promise<void>
  readonly log: Log
}

/** `name`: the one that it was given for Docker's DNS. */
type InUse = { readonly holder: Holder; readonly instance: InstanceId; name?: string | undefined }

type Wanted = { readonly instance: InstanceId; readonly key: RunKey; readonly task: TaskDefinition }

/** A container that was found; `joins`: the container whose network it has joined. */
type FoundOne = FoundContainer & { readonly joins?: string }
/** A holder that was found; `ip`: undefined if it does not run. */
type FoundHolder = { readonly id: string; readonly name: string; readonly run: string; readonly ip: string | undefined }

/** The containers that have joined the network of a holder, each one that of its own. */
export class HeldNetworks {
  readonly #options: Options
  readonly #inUse = new Map<string, InUse>()
  #hasSwept = false

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * A prepared network for a container; undefined where it needs one that is made for it. `isUsed`: whether an app that runs uses this one; `isFit`:
   * whether the container may be on the bridge of this holder.
   */
  take({ instance, key, task }: Wanted, isUsed: boolean, isFit: (holder: Holder) => boolean): Holder | undefined {
    // Docker takes name servers, links and further names when it makes a network. `key`: a container beside the usual one needs a name that
    // both have.
    const isUsual = key === instance && task.uses === undefined && !namesDomains(task.egress ?? []) && !isUsed
    return isUsual ? this.#options.prepared.take(isFit) : undefined
  }

  /** From now on the holder is the container's. */
  joined({ id, instance }: Pick<Container, 'id' | 'instance'>, holder: Holder): void {
    this.#inUse.set(id, { holder, instance })
  }

  has({ id }: Pick<Container, 'id'>): boolean {
    return this.#inUse.has(id)
  }

  /** Whether the container was not started because its holder had ended, and the holder runs again. Fails if the holder is gone. */
  async mended({ id, app }: Pick<Container, 'id' | 'app'>, error: unknown): Promise<boolean> {
    const found = this.#inUse.get(id)
    if (found === undefined) return false
    const isGone = statusOf(error) === 404 && messageOf(error).includes(found.holder.id)
    if (isGone) throw gone(app, error)
    if (!messageOf(error).includes('non running container')) return false
    await this.#options.holders.start(found.holder).catch(cause => {
      throw gone(app, cause)
    })
    return true
  }

  /** The container has gone, and its network goes too. */
  async left({ id }: Pick<Container, 'id'>): Promise<void> {
    const found = this.#inUse.get(id)
    if (found === undefined) return
    this.#inUse.delete(id)
    if (found.name !== undefined) await this.#unname(found.holder)
    this.#options.prepared.discard(found.holder)
  }

  /** Lets Docker's DNS find the app's usual container by the name. A network that was made for the container has the name from the start. */
  async name(app: AppName, name: string): Promise<void> {
    for (const [id, one] of this.#inUse) {
      if (one.name === name || !isPlain(one.instance) || appOf(one.instance) !== app) continue
      try {
        await this.#options.holders.rename(one.holder, name)
        one.name = name
      } catch (error) {
        if (statusOf(error) === 404)
          this.#inUse.delete(id) // it has been removed meanwhile
        else if (statusOf(error) === 409) throw taken(name, error)
        else throw error
      }
    }
  }

  /** Until it is disposed of, ends the container if its holder ends under it: nobody would reach it any more. */
  endsWithNetwork(container: Container): Disposable {
    const over = new AbortController()
    const found = this.#inUse.get(container.id)
    if (found !== undefined) void this.#endWithNetwork(container, found.holder, over.signal)
    return { [Symbol.dispose]: () => over.abort() }
  }

  async #endWithNetwork(container: Container, holder: Holder, signal: AbortSignal): Promise<void> {
    const { holders, kill, log } = this.#options
    const { app } = container
    try {
      await holders.ended(holder, signal)
      if (signal.aborted) return
      log.warn('the network of an app has ended, and the app is ended too', { app })
      await kill(container)
    } catch (cause) {
      if (!signal.aborted) log.debug('network lost sight of', { app, cause }) // and of its container, too
    }
  }

  /**
   * Takes over the networks of containers that were found, and has holders removed that an earlier run of the node has left. Answers with
   * the containers that run without their network.
   */
  async adopt(containers: readonly FoundOne[], holders: readonly FoundHolder[]): Promise<readonly FoundOne[]> {
    const joined = containers.filter(({ joins }) => joins !== undefined)
    for (const one of joined) {
      const holder = holders.find(({ id }) => id === one.joins)
      if (holder === undefined || this.has(one)) continue
      const name = isUnnamed(holder.name) ? undefined : holder.name
      this.#inUse.set(one.id, { holder: { id: holder.id, address: holder.ip ?? '' }, instance: one.instance, name })
    }
    if (!this.#hasSwept) {
      this.#hasSwept = true
      const { run } = this.#options.holders
      const left = holders.filter(holder => holder.run !== run && !joined.some(({ joins }) => joins === holder.id))
      // Whether it was in use is not known, so that no other container may get it.
      for (const { id, name, ip = '' } of left) {
        if (!isUnnamed(name)) await this.#unname({ id })
        this.#options.prepared.discard({ id, address: ip })
      }
    }
    return joined.filter(({ running, ip }) => running && ip === undefined)
  }

  // The app may be started again before the holder is removed, and needs its name then.
  async #unname(holder: Pick<Holder, 'id'>): Promise<void> {
    await this.#options.holders
      .rename(holder)
      .catch(cause => this.#options.log.debug('network holder not renamed', { cause }))
  }
}

const gone = (app: AppName, cause: unknown): ShadowError =>
  new ShadowError(
    'runtime-unreachable',
    `the network that was prepared for ${app} was removed before ${app} was started`,
    {
      cause,
      retryAfterMs: 1_000,
    },
  )

const taken = (name: string, cause: unknown): ShadowError =>
  new ShadowError(
    'already-exists',
    `Docker has a container "${name}", and apps find the companion of that name by it`,
    {
      cause,
      hint: `rename it: docker rename ${name} OTHER`,
    },
  )
