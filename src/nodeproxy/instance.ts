import { orAborted } from '../lib/abort.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import type { ShadowError } from '../lib/errors.ts'
import { Notifier } from '../lib/notifier.ts'
import type { Unwind } from '../lib/unwind.ts'
import {
  type Held,
  type HoldRequest,
  type InstanceView,
  isRunning,
  type StopReason,
  type WakeCause,
  type WantedRelease,
} from '../model/instance.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'
import type { VolumeId } from '../model/names.ts'
import type { SessionEndKind } from '../model/session.ts'
import { TASK_DEFAULTS, type TaskDefinition } from '../model/task.ts'
import type { BusyLeases } from './busy-leases.ts'
import { type Checked, checkDefinition } from './definition-check.ts'
import { drainOf } from './drain.ts'
import type { InstanceTarget } from './holds.ts'
import type { InstanceParts } from './instance-parts.ts'
import { formerView, viewOf } from './instance-view.ts'
import { ASLEEP, Lifecycle } from './lifecycle.ts'
import type { Liveness } from './liveness.ts'
import { NotWokenCounts } from './not-woken.ts'
import { ParkedContainer } from './parking/parked-container.ts'
import type { Yielding } from './pressure/next-step.ts'
import { stepDown, yieldingOf } from './pressure/step-down.ts'
import { isAsleep, isWaking, releaseEnded, usesVolume } from './refusals.ts'
import { RevisionChoice } from './revision-choice.ts'
import type { Adopted, Running } from './running-container.ts'
import type { FoundContainer } from './runtime/runtime.ts'
import { isReady, type State, type WokenBy } from './state.ts'
import type { FormerRun } from './switch/former-run.ts'
import { Rollout } from './switch/rollout.ts'
import { foundOf, volumeOf } from './teardown.ts'
import { Wait } from './wait.ts'
import { WakeRate } from './wake-rate.ts'
import { Waker } from './waker.ts'

/** One instance of an app on this node, from asleep to awake and back. Its wakes and its sleeps take turns. A hold keeps it awake. */
export class Instance {
  readonly id: InstanceId
  /** The container that waits for its next wake, while it is asleep. */
  readonly parked: ParkedContainer
  readonly #parts: InstanceParts
  readonly #life: Lifecycle
  readonly #revision: RevisionChoice
  readonly #wakeRate = new WakeRate()
  readonly #notWoken: NotWokenCounts
  readonly #changes = new Notifier()
  readonly #waker: Waker
  readonly #rollout: Rollout

  constructor(id: InstanceId, task: TaskDefinition, parts: InstanceParts) {
    this.id = id
    this.#parts = {
      ...parts,
      isHard: () => this.#life.isHard,
      onGateShut: isRefused => this.parked.gateStayedShut(isRefused),
      onStep: (...step) => {
        const [, name, when] = step
        this.#life.events.step(name, when)
        parts.onStep(...step)
        this.#changes.notify()
      },
    }
    this.#notWoken = new NotWokenCounts(parts.clock)
    this.#life = new Lifecycle(id, this.#parts, this.#changes)
    this.#revision = new RevisionChoice(task, {
      id,
      revisions: parts.revisions,
      onRejected: (...rejected) => this.#life.events.rejected(...rejected),
      onChange: () => this.#changes.notify(),
    })
    this.#rollout = new Rollout(parts.clock, () => this.#changes.notify())
    this.parked = new ParkedContainer({
      id,
      parts: this.#parts,
      life: this.#life,
      isWaking: () => this.#waker.isUnderWay,
      next: () => this.#revision.next,
      onChange: () => this.#changes.notify(),
    })
    this.#waker = new Waker({
      parked: this.parked,
      rollout: this.#rollout,
      id,
      parts: this.#parts,
      life: this.#life,
      revision: this.#revision,
      onSpared: () => this.#wakeRate.spare(),
    })
  }

  get phase(): State['phase'] {
    return this.#life.state.phase
  }

  /** Since when it is in this phase, by the clock. */
  get since(): number {
    return this.#life.state.since
  }

  /** Whether a newer revision is on its way to take the place of the one that runs, or of one that has just ended for it. */
  get isSwitching(): boolean {
    return this.#waker.isSwitching
  }

  get holding(): number {
    return this.#life.formers.all.reduce((sum, { holds }) => sum + holds.holding, this.#life.holds.holding)
  }

  get waiting(): number {
    return this.#life.holds.waiting
  }

  /** For how long it has been awake since its last wake or switch; 0 while it is not. */
  get awakeMs(): number {
    const { phase, since } = this.#life.state
    return phase === 'awake' ? this.#parts.clock.now() - since : 0
  }

  get task(): TaskDefinition {
    return this.#revision.current
  }

  /** The revision that its next wake would run. */
  get wanted(): number {
    return this.#revision.next.revision
  }

  /** The revisions of earlier releases that keep their sessions. */
  get staying(): readonly number[] {
    return this.#life.formers.all.filter(({ stays }) => stays).map(({ revision }) => revision)
  }

  /** The ids of its containers, those left out that are being started. */
  get containers(): ReadonlySet<string> {
    return this.#life.containers
  }

  /** The volume that it may have attached; undefined for one of several instances. */
  get volume(): VolumeId | undefined {
    return volumeOf(this.id, this.task)?.id
  }

  /** Since when an awake or frozen instance is not in use; undefined if it is in use, does not run, or may not be put to sleep. */
  get idleSince(): number | undefined {
    const { state } = this.#life
    if (!isReady(state) || this.#parts.endsBySleep?.(appOf(this.id))) return undefined
    return state.idle.since
  }

  /** The container that serves requests, and its definition; undefined where it is not awake. */
  get running(): Pick<Running, 'container' | 'task'> | undefined {
    const { state } = this.#life
    return state.phase === 'awake' ? state.running : undefined
  }

  /** The container that is awake or frozen, and its definition. */
  get serving(): Pick<Running, 'container' | 'task'> | undefined {
    const { state } = this.#life
    return isReady(state) ? state.running : undefined
  }

  /** The liveness of a run of the app; undefined if that is not the last run. */
  liveness(run: string): Liveness | undefined {
    return this.#life.liveness(run)
  }

  /** Keeps the instance awake until the hold is disposed of, waking it first if need be; waiting counts as use. Returns at once if it is awake. */
  hold(request: HoldRequest, cancellation: Cancellation): Held | Promise<Held> {
    if (request.release !== undefined) {
      const former = this.#formerFor(request.release)
      if (former !== undefined) return former.hold(request)
      this.#mustServe(request.release)
    }
    const now = this.#target()
    return now === undefined ? this.#holdOnceAwake(request, cancellation.signal) : this.#hold(now, request)
  }

  /** Keeps it awake for so long from now on, unless it is stopped for another reason than that nobody uses it. */
  keep(forMs: number, why: string): void {
    const until = this.#parts.clock.now() + forMs
    // A front and a schedule may both keep it; the longer one counts.
    if (until >= (this.#life.kept?.until ?? 0)) this.#life.kept = { until, why }
  }

  /** The instances that use this one, and hold it awake. */
  get users(): readonly string[] {
    return [...this.#life.holds.users, ...this.#life.formers.all.flatMap(({ holds }) => holds.users)]
  }

  /** Records a connection to a port on which the app does not listen. */
  badConnection(fault: string): void {
    this.#life.events.badConnection(fault, this.#parts.clock)
  }

  /** The leases by which the app of this instance says that it is at work. */
  get busy(): BusyLeases {
    return this.#life.busy
  }

  /** Puts it to sleep as soon as nobody uses it, because the app itself asked for it. */
  sleepSoon(): void {
    this.#life.sleepSoon()
  }

  async #holdOnceAwake(request: HoldRequest, signal: AbortSignal): Promise<Held> {
    const { sleep } = this.task
    const isIgnored = request.kind === 'websocket' && sleep.webSockets === 'ignore'
    if (!request.mayWake || (isIgnored && !this.#waker.isUnderWay)) {
      this.#notWoken.note(request)
      throw this.#notAwake()
    }
    const { queue, clock } = this.#parts
    if (this.phase === 'asleep' && !this.#waker.isUnderWay)
      this.#wakeRate.take(this.id, sleep.wakes ?? TASK_DEFAULTS.wakes, clock.now())
    using wait = new Wait(request, signal, { instance: this.id, queue, holds: this.#life.holds, clock })
    const traced = this.#life.events.trace?.waits(request.trace)
    try {
      const held = await this.#holdBehind(request, wait)
      traced?.ended()
      return held
    } catch (error) {
      traced?.ended(error)
      throw error
    }
  }

  async #holdBehind(request: HoldRequest, wait: Wait): Promise<Held> {
    for (;;) {
      await orAborted(this.#waker.wakeUp({ says: request.what, cause: causeOf(request) }), wait.signal)
      // Between its wake and this line it may have ended, or begun to stop for a new revision: then it is woken again.
      const target = this.#target()
      if (request.release !== undefined && target !== undefined) this.#mustServe(request.release)
      if (target !== undefined) return this.#hold(target, request, wait.took(this.#life.events.facts.lastWake?.steps))
    }
  }

  /** The run of the earlier release that a request is for. One that drains is only for requests that name it. */
  #formerFor({ revision, isStrict }: WantedRelease): FormerRun | undefined {
    const former = this.#life.formers.of(revision)
    return former?.takes(isStrict) ? former : undefined
  }

  /** Fails with `release-ended` if the request is for another release than the one that serves, or that a wake would run. */
  #mustServe({ revision, isStrict }: WantedRelease): void {
    const { state } = this.#life
    const serves = state.phase === 'awake' ? state.running.task.revision : this.#revision.next.revision
    if (isStrict && revision !== serves) throw releaseEnded(this.id, revision, serves)
  }

  #target(): InstanceTarget | undefined {
    const { state } = this.#life
    return state.phase === 'awake' ? state.target : undefined
  }

  #hold(target: InstanceTarget, request: HoldRequest, waited?: Held['waited']): Held {
    const hold = this.#life.holds.enter(request, target, this.#parts.clock.now())
    hold.waited = waited
    return hold
  }

  #notAwake(): ShadowError {
    if (this.#life.gone !== undefined) return this.#life.gone
    const { state } = this.#life
    if (state.phase === 'crashed' || state.phase === 'stuck') return state.problem
    return this.#waker.isUnderWay ? isWaking(this.id) : isAsleep(this.id)
  }

  /** Wakes it because a person asked, with its current revision if that can be run; resolves when it is ready. */
  wake(by: WokenBy, signal: AbortSignal): Promise<void> {
    return this.#waker.wakeByHand(by, signal)
  }

  /**
   * Takes a new definition. An awake instance goes on until it is known that the new one can be run, and is then switched to it: see `Switcher`.
   * Otherwise its next wake runs the new one.
   */
  define(task: TaskDefinition): void {
    if (!this.#revision.define(task)) return
    this.#life.crashes.forget()
    this.parked.leave()
    this.#waker.revise()
  }

  /** The idle time of its app may be another one now. */
  idleChanged(): void {
    this.#life.idleChanged()
  }

  /** Resolves when a new definition is applied, or is known not to be, where that is under way. */
  settled(): Promise<void> {
    return this.#waker.settled()
  }

  /** Checks whether a definition can run, if the instance is awake and would be stopped for it. Otherwise only finds the image that it names. */
  check(task: TaskDefinition, signal: AbortSignal): Promise<Checked> {
    const serves = isRunning(this.phase) || this.phase === 'waking'
    return checkDefinition(task, { serves, revision: this.#revision, runtime: this.#parts.runtime }, signal)
  }

  /** Puts it to sleep, once its requests in flight have ended or had their time; fails with `app-stuck`. */
  async sleep(why: StopReason): Promise<void> {
    // Nobody waits for it in its turn while it is asked whether it is at work.
    if ((why === 'room' || why === 'drained') && (await this.#life.asked()) !== undefined) return
    // Whoever makes room waits for this, and a thaw that is under way may wait for that room.
    if (why === 'room' && this.#waker.isUnderWay) return
    return this.#life.turn.take(async () => {
      await this.#life.sleep(why)
      await this.#parts.lingering?.giveUp(this.volume)
    })
  }

  /** Ends it: see `Lifecycle`. */
  async end(why: StopReason, kind: SessionEndKind, error: ShadowError): Promise<void> {
    await this.#life.end(why, kind, error)
    await this.#life.turn.take(async () => this.#parts.lingering?.giveUp(this.volume))
  }

  /** Freezes it now, or suspends it, unless somebody uses it; resolves when it is frozen, or is not. Fails where its runtime cannot. */
  async freeze(to: 'frozen' | 'suspended' = 'frozen'): Promise<void> {
    const { freezing, turn } = this.#life
    await turn.take(() => freezing.freeze('asked'))
    if (to === 'suspended') await freezing.suspend('asked')
  }

  /** What it gives where the machine is short of memory; undefined: nothing. */
  get yields(): Yielding | undefined {
    return this.idleSince === undefined ? undefined : yieldingOf(this.#life)
  }

  /** Steps it down because the machine is short of memory, unless somebody has used it since `idleSince`; false: somebody has. */
  stepDown(to: 'suspended' | 'asleep', idleSince: number): Promise<boolean> {
    return stepDown(this.#life, to, idleSince)
  }

  /** Nothing waits for its next wake, and its volume is in no container. */
  async #atRest(): Promise<void> {
    await this.parked.drop()
    await this.#parts.lingering?.giveUp(this.volume)
  }

  /** Puts it to sleep, and runs the action before anything can wake it. */
  whileAsleep<T>(action: () => Promise<T>, why: StopReason = 'asked'): Promise<T> {
    return this.#life.turn.take(async () => {
      await this.#life.sleep(why)
      await this.#atRest()
      return action()
    })
  }

  /**
   * Runs the action while it neither wakes nor falls asleep. What is awake serves on, and the action gets it; undefined where it is at rest.
   * Fails with `app-stuck`.
   */
  inTurn<T>(action: (awake: Pick<Running, 'lost'> | undefined) => Promise<T>): Promise<T> {
    return this.#life.turn.take(async () => {
      await this.#life.finishStopping()
      const { state } = this.#life
      if (isReady(state)) return action(state.running)
      await this.#atRest()
      return action(undefined)
    })
  }

  /** Ends it at once, for what it did to the machine: it counts as crashed, and the problem says why. */
  async exceed(problem: ShadowError): Promise<void> {
    const { state } = this.#life
    if (state.phase !== 'waking' && !isReady(state)) return
    const { journal, runtime } = this.#parts
    journal(this.id, problem.message)
    if (isReady(state)) return this.#life.exceed(state, problem)
    state.abort.abort(problem)
    for (const container of await foundOf(runtime, this.id, this.#life.containers)) await runtime.stop(container, 0)
  }

  /** Takes over containers that an earlier run of this node left in good order, with the leases that its app has. */
  adopt(running: Running, { formers = [], leases = [], isFrozen = false }: Adopted = {}): void {
    this.#life.events.takenOver(running.task.revision)
    this.#parts.room?.adopt(this.id, running.task)
    this.#life.becomeAwake(running)
    this.#parts.companions?.adopt(this.id, running.task)
    this.#life.busy.restore(leases)
    for (const former of formers) this.#life.adoptFormer(former).stay()
    if (isFrozen) this.#life.freezing.isAlready()
    if (running.task.revision !== this.#revision.next.revision) this.#waker.revise()
  }

  /** Takes over what an earlier run left half-way, and what could not be undone of it. */
  async takeUp(undo: Unwind): Promise<void> {
    this.#life.become({ phase: 'stopping', undo, next: ASLEEP })
    this.#life.events.leftHalfWay()
    await this.#life.turn.take(() => this.#life.finishStopping())
  }

  /** Compares it with what the runtime had of it at the time `at`, and mends what differs; `strays` undoes what is left over. */
  reconcile(
    at: number,
    found: readonly FoundContainer[],
    strays: (besides: ReadonlySet<string>) => Unwind | undefined,
  ): Promise<void> {
    return this.#life.turn.take(async () => {
      const { state } = this.#life
      if (state.phase === 'stuck' || state.phase === 'stopping') return this.#life.finishStopping()
      if (isReady(state)) await this.#life.compare(state, at, found)
      // What was found then may have been removed since. The next inventory tells.
      else if (state.since >= at) return
      // What is being started is in no list of ours yet.
      if (state.phase === 'awake' && this.#waker.isSwitching) return
      const undo = strays(this.#life.containers)
      if (undo === undefined) return
      if (isReady(state)) await undo.unwind()
      else await this.#life.undoStrays(undo)
    })
  }

  /** Takes no more; `sleep` puts it to sleep too, otherwise what is awake goes on running and a wake under way is undone. */
  async close(gone: ShadowError, why: 'removed' | 'shutdown', options: { sleep: boolean }): Promise<void> {
    this.#life.gone = gone
    const before = this.#life.state
    if (before.phase === 'waking') before.abort.abort(gone)
    try {
      await this.#life.turn.take(async () => {
        await this.#waker.cancel()
        if (options.sleep) {
          await this.#life.sleep(why)
          await this.#atRest()
          return
        }
        const { state, formers } = this.#life
        formers.letGo()
        if (!isReady(state)) return this.parked.drop()
        // Nobody will renew its lease, which must not end under a container that writes.
        if (state.running.lost !== undefined) return this.#life.sleep(why)
        state.idle[Symbol.dispose]()
        this.#life.busy[Symbol.dispose]()
        state.running.watch.end()
      })
    } catch (error) {
      if (why === 'removed') this.#life.gone = undefined // it is still here
      throw error
    }
  }

  /** Runs the action while nothing of the instance runs or is mounted; fails with `volume-in-use`. */
  atRest<T>(action: () => Promise<T>): Promise<T> {
    return this.#life.turn.take(async () => {
      await this.#atRest()
      if (this.phase === 'asleep' || this.phase === 'crashed') return action()
      throw usesVolume(this.id, this.phase)
    })
  }

  view(): InstanceView {
    const { holds, crashes, events, state } = this.#life
    const facts = {
      app: appOf(this.id),
      instance: this.id,
      node: this.#parts.node,
      revision: this.task.revision,
      holds,
      crashes,
      wakeRate: this.#wakeRate,
      notWoken: this.#notWoken.all,
      rejected: this.#revision.rejected,
      kept: this.#life.kept,
      atWork: this.#life.atWork,
      ...events.facts,
    }
    const { clock, drain } = this.#parts
    const formers = this.#life.formers.all
    const rollout = this.#rollout.view
    const companions = this.#parts.companions?.viewOf(this.id) ?? []
    return {
      ...viewOf(state, facts, clock),
      drain: drainOf(this.task, drain),
      ...(rollout !== undefined && { rollout }),
      ...(companions.length > 0 && { companions }),
      ...(this.parked.isParked && { parked: true as const }),
      ...(formers.length > 0 && { formers: formers.map(former => formerView(former, clock)) }),
    }
  }

  /** The instance now and at each change, until the signal aborts; a slow reader misses what was between. */
  follow(signal: AbortSignal): AsyncIterable<InstanceView> {
    return this.#changes.follow(() => this.view(), signal)
  }
}

// A busy lease wakes nothing: only an instance that is awake takes one.
const causeOf = ({ cause, kind }: HoldRequest): WakeCause => cause ?? (kind === 'busy' ? 'request' : kind)
