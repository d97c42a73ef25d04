import type { MasterClient } from '../api/client.ts'
import type { Wanted } from '../api/grants.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import type { Leaver } from '../lib/leaver.ts'
import type { App } from '../model/app.ts'
import type { Ask, Held, InstanceView, Phase } from '../model/instance.ts'
import type { AppName, VolumeId } from '../model/names.ts'
import { Apps } from './apps.ts'
import type { Definitions } from './definitions.ts'
import type { InstanceParts } from './instance-parts.ts'
import { Instances } from './instances.ts'
import type { LeaseKeeper } from './leases/lease-keeper.ts'
import type { Logs } from './logs/logs.ts'
import type { ReadyOptions } from './readiness.ts'

type Options = {
  readonly master: MasterClient
  readonly definitions: Definitions
  readonly logs: Logs
  readonly leases: LeaseKeeper
  readonly parts: Omit<InstanceParts, 'leases' | 'journal' | 'onStarted' | 'onLost' | 'look'>
}

/** The apps of this node with their instances, their logs and their volumes: what is told of an app reaches all that there is of it. */
export class Hosted {
  readonly apps: Apps
  readonly instances: Instances
  readonly #options: Options

  constructor(options: Options) {
    const { master, definitions, logs, leases, parts } = options
    this.#options = options
    this.apps = new Apps({
      master,
      definitions,
      clock: parts.clock,
      log: parts.log,
      onNewer: app => this.instances.get(app.name)?.define(app.task),
      onRemoved: app => this.removed(app),
      onElsewhere: app => this.#leftTo(app),
    })
    this.instances = new Instances({
      parts: {
        ...parts,
        untilReady: (options, signal) =>
          parts.untilReady({ ...options, ...this.#asVisitors(options.task.app) }, signal),
        leases,
        journal: (app, line) => logs.note(app, line),
        onStarted: container => logs.pump(container),
      },
      definitions: () => this.apps.all,
      learnOf: app => this.#learnOf(app),
      onAdopted: container => logs.pump(container),
    })
  }

  /** Reads the kept definitions, and undoes what an earlier run left; where the runtime does not answer, that is done once it does. */
  async open(): Promise<void> {
    await this.apps.load()
    await this.instances.reconcile().catch(error => {
      if (!isFailure(error, 'runtime-unreachable')) throw error
      this.#options.parts.log.error('runtime does not answer; apps are served once it does', { cause: error })
    })
  }

  /** Keeps the app awake until the hold is disposed of, waking it first if need be; at once where it is awake. */
  hold(wanted: Wanted, ask: Ask, leaver: Leaver): Held | Promise<Held> {
    const known = typeof wanted === 'string' ? this.apps.current(wanted, ask.permit) : this.apps.at(wanted)
    if (known !== undefined) return this.instances.hold(known, ask, leaver)
    const serving = typeof wanted === 'string' ? this.#servesInDoubt(wanted) : undefined
    if (serving !== undefined) return this.instances.hold(serving, ask, leaver)
    return this.apps.resolve(wanted, ask.permit).then(found => this.instances.hold(found, ask, leaver))
  }

  /** How visitors come to the app. */
  #asVisitors(app: AppName): Pick<ReadyOptions, 'hostname' | 'proto'> {
    const known = this.apps.known(app)
    return { hostname: known?.domains[0], proto: known?.access?.https === 'redirect' ? 'https' : 'http' }
  }

  phase(app: AppName): Phase {
    return this.instances.get(app)?.phase ?? 'asleep'
  }

  /** See `Held.refused`: a run that is not known any more has ended. */
  async refused(app: AppName, run: string): Promise<void> {
    await this.instances.get(app)?.lifeline(run)?.refused()
  }

  /** See `Held.alive`. */
  async alive(app: AppName, run: string): Promise<void> {
    const lifeline = this.instances.get(app)?.lifeline(run)
    if (lifeline === undefined) throw new ShadowError('app-unreachable', `${app} was stopped before it had answered`)
    await lifeline.alive()
  }

  get awake(): number {
    return this.instances.all.filter(({ phase }) => phase === 'awake').length
  }

  async *follow(wanted: Wanted, signal: AbortSignal): AsyncGenerator<InstanceView> {
    yield* this.instances.of(await this.apps.resolve(wanted)).follow(signal)
  }

  /** Puts the app to sleep, and forgets it with its log; fails with `app-stuck`. One registered anew meanwhile is kept. */
  async forget(app: AppName): Promise<void> {
    const removed = this.apps.known(app)
    await this.instances.forget(app, () => this.#options.logs.remove(app))
    this.#options.parts.revisions?.forget(app)
    if (this.apps.known(app)?.createdAt === removed?.createdAt) this.apps.forget(app)
  }

  /** The master has removed the app. */
  removed(app: AppName): void {
    this.forget(app).catch(() => undefined) // it has ended in `stuck`, and that was logged
  }

  /** Removes the bytes of a volume; fails with `volume-in-use` where it is in use, or an app other than `of` has it. */
  async removeVolume(volume: VolumeId, of: AppName | undefined): Promise<void> {
    const { leases, parts } = this.#options
    await this.#mustBeFree(volume, of)
    const user = this.instances.all.find(({ task }) => task.volume?.id === volume)
    await (user === undefined ? parts.volumes.remove(volume) : user.atRest(() => parts.volumes.remove(volume)))
    leases.forget(volume)
  }

  /** Another node has the app's volume: one that is asleep here is forgotten, but for its log. */
  #leftTo(app: AppName): boolean {
    if (this.phase(app) !== 'asleep') return false
    this.instances.forget(app).catch(() => undefined) // woken in between, it is stuck; that was logged
    this.#options.parts.log.info('app lives on another node', { app })
    return true
  }

  /** The master is asked about an app that has the volume here: it may have been removed, or have no volume any more. */
  async #mustBeFree(volume: VolumeId, of: AppName | undefined): Promise<void> {
    const owner = this.apps.all.find(({ name, task }) => task.volume?.id === volume && name !== of)
    if (owner === undefined) return
    await this.apps.refresh(owner.name)
    const gone = await this.apps.resolve(owner.name).catch(error => isFailure(error, 'app-not-found'))
    if (gone === true) return this.forget(owner.name)
    if (this.apps.known(owner.name)?.task.volume?.id !== volume) return
    throw new ShadowError('volume-in-use', `the app ${owner.name} has the volume ${volume}`, {
      hint: `shadow remove ${owner.name} --with-volume`,
    })
  }

  /** An app that is awake, where no master says what is newest: its requests do not wait for one that may be away. */
  #servesInDoubt(app: AppName): App | undefined {
    if (this.apps.freshness.isFresh || this.phase(app) !== 'awake') return undefined
    this.apps.checkBehind(app)
    return this.apps.known(app)
  }

  async #learnOf(app: AppName): Promise<void> {
    if (this.apps.known(app) !== undefined) return
    await this.apps
      .resolve(app)
      .catch(cause => this.#options.parts.log.warn('left-over app is not known', { app, cause }))
  }
}
