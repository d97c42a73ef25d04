import { orAborted } from '../lib/abort.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { App } from '../model/app.ts'
import type { Held, HoldRequest } from '../model/instance.ts'
import { appOf, type InstanceId, instanceId, isPlain, logFields } from '../model/instance-id.ts'
import type { AppName } from '../model/names.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Checked } from './definition-check.ts'
import { Instance } from './instance.ts'
import type { InstanceParts } from './instance-parts.ts'
import { pinnedImageOf } from './pinned-image.ts'
import { type Inventory, type KnownInstance, leftRunning, ownerless, straysOf, takeInventory } from './reconcile.ts'
import { hasNoVolume } from './refusals.ts'
import type { Container } from './runtime/runtime.ts'
import type { WokenBy } from './state.ts'
import { Rolls } from './switch/rolls.ts'

type Options = {
  readonly parts: Omit<InstanceParts, 'onLost' | 'reconcile'>
  /** Asks the master about an app that left something here and may be unknown. Does not fail if the master does not know it. */
  readonly learnOf: (app: AppName) => Promise<void>
  readonly definitions: () => readonly App[]
  /** Containers that belong to no instance and are in use: the sweep leaves them alone. */
  readonly guests?: (() => readonly KnownInstance[]) | undefined
  /** Called once it is clear what an earlier run left, and all that is fit for it has been taken over. */
  readonly onClear?: (() => void) | undefined
  /** Called with each container of an earlier run that was taken over, to catch up with its output. */
  readonly onAdopted: (container: Container, task: TaskDefinition) => void
}

const SWEEP_EVERY_MS = 30_000
const SWEEP_AGAIN_AFTER_MS = 1_000
const AT_ONCE = 8
const REMOVED = (what: string): ShadowError => new ShadowError('app-not-found', `${what} was removed`)

/** All instances of this node. Nothing is woken before it is clear what an earlier run left. */
export class Instances {
  readonly #options: Options
  readonly #byId = new Map<InstanceId, Instance>()
  readonly #registeredAt = new Map<AppName, string>()
  readonly #leaving = new Map<AppName, Promise<void>>()
  /** What is done while no app of the name may wake. */
  readonly #without = new Map<AppName, Promise<void>>()
  readonly #parts: InstanceParts
  #isClear = false
  #sweeping: Promise<void> | undefined
  #nextSweep: Disposable | undefined
  #closed: ShadowError | undefined

  constructor(options: Options) {
    this.#options = options
    this.#parts = {
      ...options.parts,
      rolls: new Rolls(),
      onLost: () => this.#sweepSoon(),
      reconcile: () => this.reconcile(),
    }
  }

  get all(): readonly Instance[] {
    return [...this.#byId.values()]
  }

  get(id: InstanceId): Instance | undefined {
    return this.#byId.get(id)
  }

  /** All instances of the app, the plain one included. */
  ofApp(app: AppName): readonly Instance[] {
    return this.all.filter(({ id }) => appOf(id) === app)
  }

  /** The instance with this id, by this definition of its app. Fails with `volume-in-use` for a second instance of an app with a volume. */
  of(id: InstanceId, app: App): Instance {
    let instance = this.#byId.get(id)
    if (instance === undefined) {
      if (this.#closed !== undefined) throw this.#closed
      if (app.task.volume !== undefined && !isPlain(id)) throw hasNoVolume(id, app.task.volume.id)
      instance = new Instance(id, app.task, this.#parts)
      this.#byId.set(id, instance)
      this.#registeredAt.set(app.name, app.createdAt)
    } else instance.define(app.task)
    return instance
  }

  /** Keeps the instance awake until the hold is disposed of, waking it first if need be; returns at once if it is awake. */
  hold(id: InstanceId, app: App, request: HoldRequest, cancellation: Cancellation): Held | Promise<Held> {
    const before = this.#before(app)
    if (before !== undefined)
      return orAborted(before, cancellation.signal).then(() => this.hold(id, app, request, cancellation))
    if (this.#isClear) return this.of(id, app).hold(request, cancellation)
    return orAborted(this.reconcile(), cancellation.signal).then(() => this.of(id, app).hold(request, cancellation))
  }

  /** Wakes the instance because a person asked. */
  async wake(id: InstanceId, app: App, by: WokenBy, signal: AbortSignal): Promise<Instance> {
    if (!this.#isClear) await orAborted(this.reconcile(), signal)
    await orAborted(this.#before(app) ?? Promise.resolve(), signal)
    const instance = this.of(id, app)
    await instance.wake(by, signal)
    return instance
  }

  /** Looks whether a definition can be run, where the app is awake, and which image it names here; changes nothing. */
  async check(id: InstanceId, task: TaskDefinition, signal: AbortSignal): Promise<Checked> {
    const instance = this.get(id)
    if (instance !== undefined) return instance.check(task, signal)
    return { image: pinnedImageOf(await this.#parts.runtime.findImage(task.image, signal)), ran: null }
  }

  /**
   * Puts all instances of the app to sleep, runs `last` for each, and forgets them. Fails with `app-stuck`; those that are asleep are
   * forgotten all the same. An app that is registered anew under this name waits for that.
   */
  forget(app: AppName, last: (id: InstanceId) => Promise<void> = async () => undefined): Promise<void> {
    const forgotten = this.#leaving.get(app) ?? this.#forget(app, last).finally(() => this.#leaving.delete(app))
    this.#leaving.set(app, forgotten)
    return forgotten
  }

  /** Runs the task for an app that has no instance here; an app of this name that wakes meanwhile waits for it. */
  whileGone(app: AppName, task: () => Promise<void>): Promise<void> {
    const done = (this.#without.get(app) ?? Promise.resolve())
      .catch(() => undefined) // its caller knows
      .then(task)
      .finally(() => {
        if (this.#without.get(app) === done) this.#without.delete(app)
      })
    this.#without.set(app, done)
    return done
  }

  /** Puts one instance to sleep, runs `last`, and forgets it; its app stays. Fails with `app-stuck`. */
  async forgetOne(id: InstanceId, last: () => Promise<void>): Promise<void> {
    const instance = this.#byId.get(id)
    await this.#end(id, last)
    if (this.#byId.get(id) === instance) this.#byId.delete(id)
  }

  async #forget(app: AppName, last: (id: InstanceId) => Promise<void>): Promise<void> {
    const ids = [...new Set([instanceId(app), ...this.ofApp(app).map(({ id }) => id)])]
    const ends = await Promise.allSettled(ids.map(id => this.#end(id, () => last(id))))
    // All at the same moment: until then each one refuses requests.
    for (const [at, end] of ends.entries()) if (end.status === 'fulfilled') this.#byId.delete(ids[at] as InstanceId)
    const failed = ends.find(end => end.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    this.#registeredAt.delete(app)
  }

  async #end(id: InstanceId, last: () => Promise<void>): Promise<void> {
    await this.#byId.get(id)?.close(REMOVED(id), 'removed', { sleep: true })
    await last()
  }

  /** Settles when an earlier app of this name is gone, with its data if that is being deleted; undefined if there is none. */
  #before({ name, createdAt }: App): Promise<void> | undefined {
    const deleted = this.#without.size === 0 ? undefined : this.#without.get(name)
    if (deleted !== undefined) return deleted.catch(() => undefined) // then the data is there, and the master knows
    if (this.#leaving.size === 0 || createdAt === this.#registeredAt.get(name)) return undefined
    return this.#leaving.get(name)?.catch(() => undefined) // it is stuck, and that is the error for the next request
  }

  /** Compares what is here with what should be, and mends it; fails with `runtime-unreachable`. Sweeps again and again from then on. */
  reconcile(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = undefined
    })
    return this.#sweeping
  }

  /** Takes no more requests; `sleep` puts all to sleep, otherwise what is awake goes on running. */
  async close(options: { sleep: boolean }): Promise<void> {
    const gone = new ShadowError('shutting-down', 'this node is stopping', { retryAfterMs: 1_000 })
    this.#closed = gone
    this.#nextSweep?.[Symbol.dispose]()
    await this.#sweeping?.catch(() => undefined)
    // Apps that others use are put to sleep after those.
    for (let left = this.all; left.length > 0; ) {
      const free = left.filter(({ users }) => users.length === 0)
      const next = free.length > 0 && options.sleep ? free : left
      left = left.filter(instance => !next.includes(instance))
      await mapAtMost(
        AT_ONCE,
        next,
        instance => instance.close(gone, 'shutdown', options).catch(() => undefined), // it has ended in `stuck`, and that was logged
      )
    }
  }

  async #sweep(): Promise<void> {
    try {
      const inventory = await takeInventory(this.#parts)
      if (this.#isClear) await this.#mend(inventory)
      else await this.#clear(inventory)
      if (!this.#isClear) this.#options.onClear?.()
      this.#isClear = true
      this.#sweepIn(SWEEP_EVERY_MS)
    } catch (error) {
      this.#sweepIn(SWEEP_AGAIN_AFTER_MS)
      throw error
    }
  }

  /** After a start: takes over what serves, undoes the rest, so that nothing half-way is left before the node listens. */
  async #clear(inventory: Inventory): Promise<void> {
    const found = Map.groupBy(inventory.containers.keys(), appOf)
    await mapAtMost(AT_ONCE, [...found.keys()], app => this.#options.learnOf(app))
    const known = this.#options
      .definitions()
      .flatMap(app => [...new Set([instanceId(app.name), ...(found.get(app.name) ?? [])])].map(id => ({ id, app })))
    await mapAtMost(AT_ONCE, known, ({ id, app }) => this.#takeOver(id, app, inventory))
    await this.#undoOwnerless(inventory)
  }

  async #takeOver(id: InstanceId, app: App, inventory: Inventory): Promise<void> {
    const found = inventory.containers.get(id) ?? []
    const isOne = found.length < 2 || app.task.volume !== undefined
    const wanted = isOne ? app.task.revision : this.of(id, app).wanted
    // Most apps have no container, and then nothing is read of them.
    const leases = found.length === 0 ? [] : ((await this.#parts.sockets?.kept(id)) ?? [])
    const left = await leftRunning(id, app.task, wanted, inventory, this.#parts, leases.length === 0)
    if (left !== undefined) {
      const { serves, formers, isFrozen } = left
      const instance = this.of(id, app)
      instance.adopt(serves, { formers, leases, isFrozen })
      await this.#parts.sockets?.open(id)
      for (const { container, task } of [...formers, serves]) this.#options.onAdopted(container, task)
      this.#parts.log.info('app taken over', { ...logFields(id), revision: serves.task.revision })
      const strays = straysOf(id, app.task, inventory, this.#parts, instance.containers)
      await strays?.unwind().catch(cause => this.#parts.log.warn('left-over not undone', { held: strays.held, cause }))
      return
    }
    if (app.task.volume !== undefined && !isPlain(id)) return // it may not run any more, and is undone as ownerless
    const undo = straysOf(id, app.task, inventory, this.#parts)
    if (undo !== undefined)
      await this.of(id, app)
        .takeUp(undo)
        .catch(() => undefined) // it has ended in `stuck`
  }

  async #mend(inventory: Inventory): Promise<void> {
    await mapAtMost(
      AT_ONCE,
      this.all,
      instance =>
        instance
          .reconcile(inventory.at, inventory.containers.get(instance.id) ?? [], besides =>
            straysOf(instance.id, instance.task, inventory, this.#parts, besides),
          )
          .catch(() => undefined), // it has ended in `stuck`
    )
    await this.#undoOwnerless(inventory)
  }

  async #undoOwnerless(inventory: Inventory): Promise<void> {
    const known = [
      ...this.#options.definitions().map(({ name, task }) => ({ id: instanceId(name), task })),
      ...this.all,
      ...(this.#options.guests?.() ?? []),
    ]
    for (const undo of ownerless(inventory, known, this.#parts))
      await undo.unwind().catch(cause => this.#parts.log.warn('left-over not undone', { held: undo.held, cause }))
  }

  #sweepIn(ms: number): void {
    this.#nextSweep?.[Symbol.dispose]()
    if (this.#closed !== undefined) return
    this.#nextSweep = this.#parts.clock.after(ms, () => this.#sweepSoon())
  }

  #sweepSoon(): void {
    if (this.#closed !== undefined) return
    this.reconcile().catch(error => {
      if (!isFailure(error, 'runtime-unreachable')) this.#parts.log.error('inventory failed', { cause: error })
    })
  }
}
