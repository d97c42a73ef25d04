import type { MasterClient } from '../api/client.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { budgetNow } from '../model/budget.ts'
import {
  type Held,
  type HoldRequest,
  type InstanceView,
  isRunning,
  type Phase,
  type StopReason,
} from '../model/instance.ts'
import { appOf, type InstanceId, isPlain, logFields } from '../model/instance-id.ts'
import type { AppName, VolumeId } from '../model/names.ts'
import { isPaused, sayPause } from '../model/pause.ts'
import { isElsewhere, isTemplate, type SessionEnd, type SessionEndKind, sessionEnds } from '../model/session.ts'
import type { TaskDefinition } from '../model/task.ts'
import { Apps } from './apps.ts'
import { Companions } from './companions/companions.ts'
import type { Definitions } from './definitions.ts'
import { containerOfRun } from './freezing.ts'
import type { NodeHistory } from './history/history.ts'
import type { Instance } from './instance.ts'
import type { InstanceParts } from './instance-parts.ts'
import { Instances } from './instances.ts'
import type { LeaseKeeper } from './leases/lease-keeper.ts'
import type { Logs } from './logs/logs.ts'
import type { Parking } from './parking/parking.ts'
import type { ReadyOptions } from './readiness.ts'
import type { KnownInstance } from './reconcile.ts'
import { isAsleep } from './refusals.ts'
import type { Container } from './runtime/runtime.ts'
import { type EndedSessions, SessionEnds } from './session-ends.ts'
import type { UsageMeter } from './usage/meter.ts'
import type { VolumeRef } from './volumes/block-drivers.ts'

type Options = {
  readonly master: MasterClient
  readonly definitions: Definitions
  readonly endedSessions: EndedSessions
  readonly logs: Logs
  readonly leases: LeaseKeeper
  /** Throws if this node takes no app that it does not know; left out: it takes all. */
  readonly mustTakeNew?: ((app: AppName) => void) | undefined
  /** Counts what apps use; left out: it is not counted. */
  readonly meter?: Pick<UsageMeter, 'started' | 'requestsOf'> | undefined
  /** Keeps what happens to the apps; left out: nobody does. */
  readonly history?: Pick<NodeHistory, 'note' | 'phase' | 'started' | 'adopted' | 'forget'> | undefined
  /** How many instances may be parked; left out: all. */
  readonly parking?: Pick<Parking, 'byHand'> | undefined
  /** Containers that belong to no instance and are in use. */
  readonly guests?: (() => readonly KnownInstance[]) | undefined
  readonly parts: Omit<InstanceParts, 'leases' | 'companions' | 'journal' | 'onStarted' | 'onLost' | 'reconcile'>
}

/** The app that is being removed with its volume, and when it was registered. */
type Removed = { readonly app?: AppName | undefined; readonly createdAt?: string | undefined }
/** How an instance is put to sleep because somebody asked. */
export type Sleeping = { readonly kind: SessionEndKind; readonly createdAt?: string | undefined }
/** For how long a front keeps an instance awake, and why. */
export type Keeping = { readonly forMs: number; readonly why: string; readonly permit: string | undefined }

/** The apps of this node with their instances, logs and volumes. A change of an app reaches all of them. */
export class HostedApps implements Disposable {
  readonly apps: Apps
  readonly instances: Instances
  readonly companions: Companions
  readonly #ends: SessionEnds
  readonly #options: Options

  constructor(options: Options) {
    const { master, definitions, logs, leases, parts } = options
    this.#options = options
    this.apps = new Apps({
      master,
      definitions,
      clock: parts.clock,
      log: parts.log,
      onNewer: app => {
        for (const instance of this.instances.ofApp(app.name)) {
          instance.define(app.task)
          if (app.session !== undefined) instance.idleChanged()
        }
        this.#endIfNotAllowed(app)
      },
      onOther: app => this.#endEarlier(app),
      onRemoved: app => this.removed(app),
      onElsewhere: app => this.#forgetIfAsleep(app),
    })
    this.#ends = new SessionEnds({
      master,
      files: options.endedSessions,
      node: parts.node,
      known: app => this.apps.known(app),
      permitOf: app => this.apps.permitOfApp(app),
      onTold: app => void this.apps.refresh(app),
      clock: parts.clock,
      log: parts.log,
    })
    this.companions = new Companions({
      hold: (...asked) => this.hold(...asked),
      known: app => this.apps.known(app),
      onLost: instance =>
        void this.instances
          .get(instance)
          ?.sleep('companion')
          .catch(() => undefined), // it has ended in `stuck`
      clock: parts.clock,
      log: parts.log,
    })
    this.instances = new Instances({
      parts: {
        ...parts,
        untilReady: (options, signal) => parts.untilReady({ ...options, ...this.asVisitors(options.task.app) }, signal),
        leases,
        companions: this.companions,
        visitorsOf: app => this.asVisitors(app),
        onRested: (instance, rest) => {
          if (isPlain(instance)) this.#ends.rested(appOf(instance), rest)
        },
        endsBySleep: app => this.apps.known(app)?.session?.whenIdle === 'end',
        idleOf: app => this.apps.known(app)?.session?.idle,
        journal: (instance, line) => logs.note(instance, line),
        onStarted: (container, task) => this.#runs(container, task),
        requestsOf: app => options.meter?.requestsOf(app),
        history: options.history,
      },
      definitions: () => this.apps.all,
      guests: options.guests,
      learnOf: app => this.#learnOf(app),
      onClear: () => {
        for (const app of this.apps.all)
          if (this.instances.ofApp(app.name).every(({ phase }) => phase === 'asleep' || phase === 'crashed'))
            this.#ends.notFound(app)
      },
      onAdopted: (container, task) => {
        options.history?.adopted(container)
        this.#runs(container, task)
      },
    })
  }

  /** Reads the kept definitions, and undoes what an earlier run left; where the runtime does not answer, that is done once it does. */
  async open(): Promise<void> {
    await this.apps.load()
    await this.#ends.load()
    await this.instances.reconcile().catch(error => {
      if (!isFailure(error, 'runtime-unreachable')) throw error
      this.#options.parts.log.error('runtime does not answer; apps are served once it does', { cause: error })
    })
    for (const app of this.apps.all) this.#endIfNotAllowed(app)
  }

  /** Keeps the instance awake until the hold is disposed of, waking it first if need be; at once where it is awake. */
  hold(instance: InstanceId, request: HoldRequest, cancellation: Cancellation): Held | Promise<Held> {
    const app = appOf(instance)
    const known = this.apps.current(app, request.permit) ?? this.#servesInDoubt(instance)
    if (known !== undefined) return this.instances.hold(instance, known, request, cancellation)
    this.mustTake(app)
    return this.apps
      .resolve(app, request.permit)
      .then(found => this.instances.hold(instance, found, request, cancellation))
  }

  /** The container that a hold is for. Fails with `app-unreachable` if it has ended since it was held, so that the container is another one, or none. */
  containerOf(instance: InstanceId, { run = '' }: Pick<Held, 'run'>): Container {
    const container = this.instances.get(instance)?.running?.container
    if (container !== undefined && container.id === containerOfRun(run)) return container
    throw new ShadowError('app-unreachable', `${instance} stopped just now`, { retryAfterMs: 1_000 })
  }

  /** Wakes the instance, and keeps it awake for so long from then on; resolves when it is ready. Fails as a hold does. */
  async keep(instance: InstanceId, { forMs, why, permit }: Keeping, signal: AbortSignal): Promise<Instance> {
    const request = { kind: 'request', cause: 'scale', what: why, bytes: 0, mayWake: true, permit } as const
    using _held = await this.hold(instance, request, { signal })
    const kept = this.instances.get(instance)
    if (kept === undefined) throw new ShadowError('app-not-found', `${instance} was removed`)
    kept.keep(forMs, why)
    return kept
  }

  /**
   * Puts an instance to sleep because somebody asked. A session ends by that, also one that is being started; if it is another one than was made
   * at `createdAt`, it fails with `session-not-found`.
   */
  async sleep(id: InstanceId, { kind, createdAt }: Sleeping, permit: string | undefined): Promise<Instance> {
    const app = appOf(id)
    const instance = this.instances.of(id, await this.apps.resolve(app, permit))
    mustNotBeUsed(instance)
    // What begins to end must not be woken again.
    if (this.apps.known(app)?.session !== undefined) await this.apps.refresh(app)
    const now = this.apps.known(app)
    if (createdAt !== undefined && now !== undefined && now.createdAt !== createdAt) throw sessionEnds(app)
    const session = now?.session
    const ends = session?.ending !== undefined || session?.whenIdle === 'end'
    if (ends || kind === 'hard') await instance.end('asked', kind, ends ? sessionEnds(app) : isAsleep(id))
    else await instance.sleep('asked')
    return instance
  }

  /** Puts an instance to sleep, and has a container wait for its next wake. Fails with `not-parkable`, `addresses-full`, `app-in-use`, and as a wake does that is not allowed. */
  async park(id: InstanceId, permit: string | undefined): Promise<Instance> {
    const app = appOf(id)
    this.mustTake(app)
    const instance = this.instances.of(id, await this.apps.resolve(app, permit))
    this.mustBeAllowed(app)
    mustNotBeUsed(instance)
    const park = async (): Promise<void> => {
      if (instance.phase !== 'asleep') await instance.sleep('asked')
      await instance.parked.park()
    }
    await (this.#options.parking?.byHand(instance, park) ?? park())
    return instance
  }

  /** Freezes or suspends an instance because somebody asked. Fails with `app-asleep`, `app-in-use`, `no-swap`. */
  async freeze(id: InstanceId, to: 'frozen' | 'suspended'): Promise<Instance> {
    const instance = this.instances.get(id)
    if (instance === undefined || !isRunning(instance.phase)) throw isAsleep(id)
    await instance.freeze(to)
    if (instance.phase !== 'awake') return instance
    throw new ShadowError('app-in-use', `${id} is in use, or runs together with apps that it uses or that use it`, {
      hint: `shadow why ${appOf(id)}`,
    })
  }

  /** Fails with `is-template`, `session-not-found`, `app-paused` or `budget-spent`. */
  mustBeAllowed(app: AppName): void {
    const known = this.apps.known(app)
    if (known?.template !== undefined) throw isTemplate(app)
    if (known?.session?.ending !== undefined || (known !== undefined && this.#ends.has(known))) throw sessionEnds(app)
    const paused = known?.paused
    if (paused !== undefined) throw isPaused(app, paused)
    this.mustAfford(app)
  }

  /** Fails with `budget-spent`. */
  mustAfford(app: AppName): void {
    const budget = budgetNow(this.apps.known(app)?.budget, this.#options.parts.clock.wall())
    if (budget?.state !== 'spent') return
    throw new ShadowError('budget-spent', `${app} sleeps until ${budget.until}, since ${budget.why} is spent`, {
      hint: `shadow usage ${app}; an admin can raise it: shadow budget set`,
      retryAfterMs: Date.parse(budget.until) - this.#options.parts.clock.wall(),
    })
  }

  /** Fails with `node-cordoned` if this node takes no new apps, and does not know this one. */
  mustTake(app: AppName): void {
    if (this.apps.known(app) === undefined) this.#options.mustTakeNew?.(app)
  }

  /** How visitors come to the app. */
  asVisitors(app: AppName): Pick<ReadyOptions, 'hostname' | 'proto'> {
    const known = this.apps.known(app)
    return { hostname: known?.domains[0], proto: known?.access?.https === 'redirect' ? 'https' : 'http' }
  }

  phase(instance: InstanceId): Phase {
    return this.instances.get(instance)?.phase ?? 'asleep'
  }

  /** See `Held.refused`: a run that is not known any more has ended. */
  async refused(instance: InstanceId, run: string): Promise<void> {
    await this.instances.get(instance)?.liveness(run)?.refused()
  }

  /** See `Held.alive`. */
  async alive(instance: InstanceId, run: string): Promise<void> {
    const liveness = this.instances.get(instance)?.liveness(run)
    if (liveness === undefined)
      throw new ShadowError('app-unreachable', `${instance} was stopped before it had answered`)
    await liveness.alive()
  }

  /** The apps whose changes matter at once: those of which something runs, be it a container that waits. */
  get watched(): AppName[] {
    const all = this.instances.all.filter(({ phase, parked }) => phase !== 'asleep' || parked.isParked)
    return [...new Set(all.map(({ id }) => appOf(id)))]
  }

  get awake(): number {
    return this.instances.all.filter(({ phase }) => phase === 'awake').length
  }

  /** The instance now and at each change of its phase, until the signal aborts; for `permit` see `HoldRequest`. */
  async *follow(instance: InstanceId, permit: string | undefined, signal: AbortSignal): AsyncGenerator<InstanceView> {
    const app = await this.apps.resolve(appOf(instance), permit)
    yield* this.instances.of(instance, app).follow(signal)
  }

  /**
   * Puts all instances of the app to sleep, and forgets the app with its logs and its history; fails with `app-stuck`. An app registered anew
   * meanwhile is kept, and so is one that was registered after `createdAt`.
   */
  async forget(app: AppName, createdAt?: string): Promise<void> {
    const removed = this.apps.known(app)
    if (removed !== undefined && isLater(removed, createdAt)) return
    await this.instances.forget(app, id => this.#forgetKept(id))
    await this.#options.history
      ?.forget(app)
      .catch(cause => this.#options.parts.log.warn('history of app not removed', { app, cause }))
    if (this.apps.known(app)?.createdAt === removed?.createdAt) this.apps.forget(app)
    if (removed !== undefined) this.#ends.forget(removed)
  }

  /** Puts the instance to sleep, and forgets it with its log; the app stays known. Fails with `app-stuck`. */
  async forgetInstance(instance: InstanceId): Promise<void> {
    await this.instances.forgetOne(instance, () => this.#forgetKept(instance))
  }

  /** Forgets what is kept of an instance on the disk. */
  async #forgetKept(instance: InstanceId): Promise<void> {
    await this.#options.logs.remove(instance)
    this.#options.parts.revisions?.forget(instance)
  }

  /** The master has removed the app. */
  removed(app: AppName): void {
    this.forget(app).catch(() => undefined) // it has ended in `stuck`, and that was logged
  }

  /** The master has another app of this name by now: what is here of the earlier one goes, and the later one waits for that. */
  #endEarlier(app: AppName): void {
    this.#options.parts.log.info('app was registered anew', { app })
    this.instances.forget(app, id => this.#forgetKept(id)).catch(() => undefined) // it has ended in `stuck`, and that was logged
  }

  /**
   * Removes the bytes of a volume; fails with `volume-in-use` where it is in use, or an app other than `of` has it, or one that was registered
   * after `createdAt`.
   */
  async removeVolume(ref: VolumeRef, { app: of, createdAt }: Removed): Promise<void> {
    const { id: volume } = ref
    const { leases, parts } = this.#options
    await this.#mustBeFree(volume, of)
    const owner = this.apps.all.find(({ task }) => task.volume?.id === volume)
    if (owner !== undefined && isLater(owner, createdAt)) throw hasVolume(owner.name, volume)
    const user = this.instances.all.find(instance => instance.volume === volume)
    const remove = async (): Promise<void> => parts.volumes.of(ref).remove(volume)
    await (user === undefined ? this.instances.whileGone(volume as string as AppName, remove) : user.atRest(remove))
    leases.forget(volume)
  }

  /** Another node has the app's volume: one that is asleep here is forgotten, but for its log. */
  #forgetIfAsleep(app: AppName): boolean {
    if (this.instances.ofApp(app).some(({ phase }) => phase !== 'asleep')) return false
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
    throw hasVolume(owner.name, volume)
  }

  /** The app of an instance that is awake, where no master says what is newest: its requests do not wait for one that may be away. */
  #servesInDoubt(instance: InstanceId): App | undefined {
    if (this.apps.freshness.isFresh || !isRunning(this.phase(instance))) return undefined
    const app = appOf(instance)
    this.apps.checkBehind(app)
    return this.apps.known(app)
  }

  /** Puts an app to sleep that is paused, or whose budget is spent, and ends a session that a master has begun to end, or that another node has. */
  #endIfNotAllowed(app: App): void {
    const { clock, node } = this.#options.parts
    const budget = budgetNow(app.budget, clock.wall())
    if (app.session?.ending !== undefined) this.#endSession(app.name, app.session.ending)
    else if (isElsewhere(app, node)) this.removed(app.name)
    else if (app.paused !== undefined) this.#end(app.name, 'paused', `It is ${sayPause(app.paused)}`)
    else if (budget?.state === 'spent') this.#end(app.name, 'budget', `spent is ${budget.why}`)
    else if (budget !== undefined)
      for (const { id } of this.instances.ofApp(app.name)) this.#options.logs.note(id, `nearly spent is ${budget.why}`)
  }

  #endSession(app: AppName, { reason, kind }: SessionEnd): void {
    for (const instance of this.instances.ofApp(app)) {
      if (instance.phase === 'asleep' || instance.phase === 'crashed') continue
      this.#options.logs.note(instance.id, `the session ends: ${reason}, ${kind}`)
      instance.end('asked', kind, sessionEnds(app)).catch(() => undefined) // it has ended in `stuck`, and that was logged
    }
  }

  #end(app: AppName, why: StopReason, says: string): void {
    const { logs, parts } = this.#options
    for (const instance of this.instances.ofApp(app)) {
      if (!isRunning(instance.phase) && instance.phase !== 'waking') continue
      logs.note(instance.id, says)
      parts.log.warn('app put to sleep', { ...logFields(instance.id), why, says })
      instance.sleep(why).catch(() => undefined) // it has ended in `stuck`, and that was logged
    }
  }

  [Symbol.dispose](): void {
    this.#ends[Symbol.dispose]()
  }

  #runs(container: Container, task: TaskDefinition): void {
    this.#options.logs.pump(container)
    this.#options.meter?.started(container, task)
    this.#options.history?.started(container)
  }

  async #learnOf(app: AppName): Promise<void> {
    if (this.apps.known(app) !== undefined) return
    await this.apps
      .resolve(app)
      .catch(cause => this.#options.parts.log.warn('left-over app is not known', { app, cause }))
  }
}

const hasVolume = (app: AppName, volume: VolumeId): ShadowError =>
  new ShadowError('volume-in-use', `the app ${app} has the volume ${volume}`, {
    hint: `shadow remove ${app} --with-volume`,
  })

const isLater = (app: App, createdAt: string | undefined): boolean =>
  createdAt !== undefined && Date.parse(app.createdAt) > Date.parse(createdAt)

/** An app that others use would be woken again at once. */
function mustNotBeUsed({ id, users }: Instance): void {
  if (users.length === 0) return
  throw new ShadowError('companion-in-use', `${users.join(', ')} uses ${id} and is awake: ${id} sleeps after it`, {
    hint: `shadow sleep ${appOf((users[0] ?? id) as InstanceId)}`,
  })
}
