import { orAborted } from '../lib/abort.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import type { Leaver } from '../lib/leaver.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { App } from '../model/app.ts'
import type { Ask, Held } from '../model/instance.ts'
import type { AppName } from '../model/names.ts'
import type { TaskDefinition } from '../model/task.ts'
import { type Checked, Instance } from './instance.ts'
import type { InstanceParts } from './instance-parts.ts'
import { type Inventory, leftRunning, ownerless, straysOf, takeInventory } from './reconcile.ts'
import { pinOf } from './resolved.ts'
import type { Container } from './runtime/runtime.ts'

type Options = {
  readonly parts: Omit<InstanceParts, 'onLost' | 'look'>
  /** Asks about an app that left something here and may not be known; quietly, where nobody knows it. */
  readonly learnOf: (app: AppName) => Promise<void>
  readonly definitions: () => readonly App[]
  /** A container of an earlier run was taken over: what it wrote meanwhile is to be caught up. */
  readonly onAdopted: (container: Container) => void
}

const LOOK_EVERY_MS = 30_000
const LOOK_AGAIN_AFTER_MS = 1_000
const AT_ONCE = 8
const REMOVED = (app: AppName): ShadowError => new ShadowError('app-not-found', `${app} was removed`)

/** All instances of this node. Nothing is woken before it is clear what an earlier run left. */
export class Instances {
  readonly #options: Options
  readonly #byApp = new Map<AppName, Instance>()
  readonly #registeredAt = new Map<AppName, string>()
  readonly #leaving = new Map<AppName, Promise<void>>()
  readonly #parts: InstanceParts
  #isClear = false
  #looking: Promise<void> | undefined
  #nextLook: Disposable | undefined
  #closed: ShadowError | undefined

  constructor(options: Options) {
    this.#options = options
    this.#parts = { ...options.parts, onLost: () => this.#lookSoon(), look: () => this.reconcile() }
  }

  get all(): readonly Instance[] {
    return [...this.#byApp.values()]
  }

  get(app: AppName): Instance | undefined {
    return this.#byApp.get(app)
  }

  /** The instance of the app, with this definition. */
  of(app: App): Instance {
    let instance = this.#byApp.get(app.name)
    if (instance === undefined) {
      if (this.#closed !== undefined) throw this.#closed
      instance = new Instance(app.task, this.#parts)
      this.#byApp.set(app.name, instance)
      this.#registeredAt.set(app.name, app.createdAt)
    } else instance.define(app.task)
    return instance
  }

  /** Keeps the app awake until the hold is disposed of, waking it first if need be; at once where it is awake. */
  hold(app: App, ask: Ask, leaver: Leaver): Held | Promise<Held> {
    const before = this.#before(app)
    if (before !== undefined) return orAborted(before, leaver.signal).then(() => this.hold(app, ask, leaver))
    if (this.#isClear) return this.of(app).hold(ask, leaver)
    return orAborted(this.reconcile(), leaver.signal).then(() => this.of(app).hold(ask, leaver))
  }

  /** Wakes the app because a person asked. */
  async wake(app: App, by: string, signal: AbortSignal): Promise<Instance> {
    if (!this.#isClear) await orAborted(this.reconcile(), signal)
    await orAborted(this.#before(app) ?? Promise.resolve(), signal)
    const instance = this.of(app)
    await instance.wake(by, signal)
    return instance
  }

  /** Looks whether a definition can be run, where the app is awake, and which image it names here; changes nothing. */
  async check(app: AppName, task: TaskDefinition, signal: AbortSignal): Promise<Checked> {
    const instance = this.get(app)
    if (instance !== undefined) return instance.check(task, signal)
    return { image: pinOf(await this.#parts.runtime.findImage(task.image, signal)), ran: null }
  }

  /** Puts the app to sleep and forgets it, `last` included; fails with `app-stuck`. One that is registered anew under its name waits for that. */
  forget(app: AppName, last: () => Promise<void> = async () => undefined): Promise<void> {
    const forgotten = this.#leaving.get(app) ?? this.#forget(app, last).finally(() => this.#leaving.delete(app))
    this.#leaving.set(app, forgotten)
    return forgotten
  }

  async #forget(app: AppName, last: () => Promise<void>): Promise<void> {
    await this.#byApp.get(app)?.close(REMOVED(app), 'removed', { sleep: true })
    await last()
    this.#byApp.delete(app)
    this.#registeredAt.delete(app)
  }

  /** Settles when an earlier app of this name has left; undefined where none is about to. */
  #before({ name, createdAt }: App): Promise<void> | undefined {
    if (this.#leaving.size === 0 || createdAt === this.#registeredAt.get(name)) return undefined
    return this.#leaving.get(name)?.catch(() => undefined) // it is stuck, and so is told whoever comes now
  }

  /** Compares what is here with what should be, and mends it; fails with `runtime-unreachable`. Looks again by itself from then on. */
  reconcile(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  /** Takes no more requests; `sleep` puts all to sleep, otherwise what is awake goes on running. */
  async close(options: { sleep: boolean }): Promise<void> {
    const gone = new ShadowError('shutting-down', 'this node is stopping', { retryAfterMs: 1_000 })
    this.#closed = gone
    this.#nextLook?.[Symbol.dispose]()
    await this.#looking?.catch(() => undefined)
    await mapAtMost(
      AT_ONCE,
      this.all,
      instance => instance.close(gone, 'shutdown', options).catch(() => undefined), // it has ended in `stuck`, and that was logged
    )
  }

  async #look(): Promise<void> {
    try {
      const inventory = await takeInventory(this.#parts)
      if (this.#isClear) await this.#mend(inventory)
      else await this.#clear(inventory)
      this.#isClear = true
      this.#lookIn(LOOK_EVERY_MS)
    } catch (error) {
      this.#lookIn(LOOK_AGAIN_AFTER_MS)
      throw error
    }
  }

  /** After a start: takes over what serves, undoes the rest, so that nothing half-way is left when the door opens. */
  async #clear(inventory: Inventory): Promise<void> {
    await mapAtMost(AT_ONCE, [...inventory.containers.keys()], app => this.#options.learnOf(app))
    const known = this.#options.definitions()
    await mapAtMost(AT_ONCE, known, async app => {
      const running = await leftRunning(app.task, inventory, this.#parts)
      if (running !== undefined) {
        this.of(app).adopt(running)
        this.#options.onAdopted(running.container)
        this.#parts.log.info('app taken over', { app: app.name, revision: running.task.revision })
        return
      }
      const undo = straysOf(app.task, inventory, this.#parts)
      if (undo !== undefined)
        await this.of(app)
          .takeUp(undo)
          .catch(() => undefined) // it has ended in `stuck`
    })
    await this.#undoOwnerless(inventory)
  }

  async #mend(inventory: Inventory): Promise<void> {
    await mapAtMost(
      AT_ONCE,
      this.all,
      instance =>
        instance
          .look(inventory.at, inventory.containers.get(instance.app) ?? [], () =>
            straysOf(instance.task, inventory, this.#parts),
          )
          .catch(() => undefined), // it has ended in `stuck`
    )
    await this.#undoOwnerless(inventory)
  }

  async #undoOwnerless(inventory: Inventory): Promise<void> {
    const known = [...this.#options.definitions().map(({ task }) => task), ...this.all.map(({ task }) => task)]
    for (const undo of ownerless(inventory, known, this.#parts))
      await undo.unwind().catch(cause => this.#parts.log.warn('left-over not undone', { held: undo.held, cause }))
  }

  #lookIn(ms: number): void {
    this.#nextLook?.[Symbol.dispose]()
    if (this.#closed !== undefined) return
    this.#nextLook = this.#parts.clock.after(ms, () => this.#lookSoon())
  }

  #lookSoon(): void {
    if (this.#closed !== undefined) return
    this.reconcile().catch(error => {
      if (!isFailure(error, 'runtime-unreachable')) this.#parts.log.error('inventory failed', { cause: error })
    })
  }
}
