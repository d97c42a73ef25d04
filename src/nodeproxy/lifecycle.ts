import { wallAt } from '../lib/clock.ts'
import { asShadowError, type ShadowError } from '../lib/errors.ts'
import { Mutex } from '../lib/mutex.ts'
import type { Notifier } from '../lib/notifier.ts'
import type { Unwind } from '../lib/unwind.ts'
import { isFrozen, type StopReason } from '../model/instance.ts'
import { besideKey, type InstanceId, type RunKey } from '../model/instance-id.ts'
import type { Duration } from '../model/quantities.ts'
import { idleAfterOf } from '../model/scale.ts'
import type { SessionEndKind } from '../model/session.ts'
import { type BusyLease, BusyLeases } from './busy-leases.ts'
import { Crashes } from './crashes.ts'
import { drainMs, drainOf } from './drain.ts'
import { EventRecorder } from './event-recorder.ts'
import { containerOfRun, Freezing } from './freezing.ts'
import { Holds, type Left } from './holds.ts'
import { Idle } from './idle.ts'
import type { InstanceParts } from './instance-parts.ts'
import { type Liveness, wasStopped } from './liveness.ts'
import { diedAwake } from './postmortem.ts'
import { isStuck } from './refusals.ts'
import { runTargetOf } from './run-target.ts'
import type { Running } from './running-container.ts'
import type { Container, Exit, FoundContainer } from './runtime/runtime.ts'
import { isReady, type Phased, type Ready, type Rest, type State } from './state.ts'
import { FormerRun } from './switch/former-run.ts'
import { FormerRuns } from './switch/former-runs.ts'
import { foundOf, graceMs } from './teardown.ts'
import { untilGone } from './until-gone.ts'
import { WakeTrace } from './wake-trace.ts'
import { WorkCheck } from './work-check.ts'

export const ASLEEP: Rest = { phase: 'asleep', problem: null }

// An app that ends so soon after it was ready has probably gone on in the background.
const SOON_MS = 10_000

/** A run whose processes have ended, and whose volume is still mounted. `stopped` settles when the runtime knows of its end. */
export type HandedOver = { readonly running: Running; readonly stopped: Promise<void> }

/**
 * The state of an instance, and every way in which it ends: sleep, death, a lost lease, what an earlier run left. Whoever wakes it or
 * puts it to sleep takes the turn first.
 */
export class Lifecycle {
  readonly turn = new Mutex()
  /** The uses of the run that takes new visitors. */
  holds: Holds
  readonly formers: FormerRuns
  readonly crashes = new Crashes()
  readonly events: EventRecorder
  readonly freezing: Freezing
  /** The leases by which the app says that it is at work. */
  readonly busy: BusyLeases
  /** Why it takes no more requests; undefined as long as it takes some. */
  gone: ShadowError | undefined
  /** Called before the instance is put to sleep, in its turn: ends the start of a newer release. */
  beforeSleep: () => Promise<void> = async () => undefined
  /** Until when a front keeps it awake, by the clock, and why. */
  kept: { readonly until: number; readonly why: string } | undefined
  /** Why the last wake was called off that was. */
  calledOff: ShadowError | undefined
  /** Whether it is being ended without time for its uses and for the app itself. */
  isHard = false
  readonly #id: InstanceId
  readonly #parts: InstanceParts
  readonly #changes: Notifier
  #state: State
  #exceeded: ShadowError | undefined
  /** How its last run ended by itself. */
  #exit: Exit | undefined
  /** How it is found out whether the run is at work though nobody uses it; undefined: its definition asks for no such check. */
  #work: WorkCheck | undefined
  /** The run that serves, or served last. */
  #run = ''
  #lastRun: { readonly container: string; readonly liveness: Liveness } | undefined

  constructor(id: InstanceId, parts: InstanceParts, changes: Notifier) {
    this.#id = id
    this.#parts = parts
    this.#changes = changes
    const { log, journal, counters, tracer, node, history } = parts
    const trace = tracer && new WakeTrace({ tracer, instance: id, node })
    this.events = new EventRecorder({ instance: id, log, journal, counters, trace, history })
    this.holds = this.#newHolds()
    this.formers = new FormerRuns(id)
    this.freezing = new Freezing(id, this, parts)
    this.busy = new BusyLeases({
      clock: parts.clock,
      enter: lease => this.#enterBusy(lease),
      onChange: all => parts.sockets?.keep(id, all),
    })
    this.#state = { ...ASLEEP, since: parts.clock.now() }
  }

  get state(): State {
    return this.#state
  }

  /** Whether a run of it is in use, be it of an earlier release. */
  get inUse(): boolean {
    return this.holds.inUse || this.formers.inUse
  }

  /** The ids of the containers that the instance has, those left out that are being started. */
  get containers(): ReadonlySet<string> {
    const ids = new Set(this.formers.all.map(({ running }) => running.container.id))
    if (isReady(this.#state)) ids.add(this.#state.running.container.id)
    return ids
  }

  /** The liveness of this run; undefined if it is neither the last one nor that of an earlier release. */
  liveness(run: string): Liveness | undefined {
    const container = containerOfRun(run)
    if (this.#lastRun?.container === container) return this.#lastRun.liveness
    return this.formers.all.find(({ running }) => running.container.id === container)?.liveness
  }

  become(next: Phased): void {
    const now = this.#parts.clock.now()
    if (this.#state.phase === 'awake') this.events.wasAwake(now - this.#state.since)
    this.#state = { ...next, since: now }
    if (isReady(this.#state)) this.#run = this.#state.target.run
    this.#parts.history?.phase(this.#id, next.phase)
    if (next.phase === 'asleep' || next.phase === 'crashed') {
      this.#parts.room?.leave(this.#id)
      this.#parts.companions?.leave(this.#id)
      this.busy.endAll()
    }
    this.#changes.notify()
  }

  /** A container is ready: requests may go to it, and its end is watched for. */
  becomeAwake(running: Running): void {
    const { clock, onLost } = this.#parts
    const idle: Idle = new Idle({
      clock,
      idleAfter: () => this.#idleAfter(running),
      before: () => this.freezing.after(running.task),
      stays: () => this.freezing.keepOf(running.task) !== 'asleep',
      inUse: () => this.inUse,
      keptUntil: () => this.kept?.until ?? 0,
      onIdle: () => void this.#rang(idle),
    })
    this.#work = this.#workCheckOf(running)
    this.#exit = undefined
    const { target, liveness } = runTargetOf(this.#id, running, this.#parts, this.events)
    this.#lastRun = { container: running.container.id, liveness }
    this.become({ phase: 'awake', running, idle, target, liveness })
    this.keepCompanions()
    this.busy.awake()
    running.lost?.addEventListener('abort', () => this.#leaseLost(running), { once: true })
    if (running.lost?.aborted) this.#leaseLost(running)
    running.watch.listen({ ended: exit => this.#died(running, exit), lost: onLost })
  }

  /** What the app's document says beside its definition counts, if it says so. */
  #idleAfter({ task }: Running): Duration | 'never' {
    return idleAfterOf(this.#id, this.#parts.idleOf?.(task.app) ?? task.sleep.idleAfter)
  }

  /** Lets go of the companions that none of its runs uses. */
  keepCompanions(): void {
    if (this.#state.phase !== 'awake') return
    const runs = [this.#state.running, ...this.formers.all.map(({ running }) => running)]
    this.#parts.companions?.keep(
      this.#id,
      runs.map(({ task }) => task),
    )
  }

  /**
   * In one tick, a run that is ready takes the place of the one that serves: new requests go to it. The other one becomes a former run, which
   * the caller lets drain or stay. The instance is awake, and the caller has the turn.
   */
  switchTo(running: Running): FormerRun {
    if (this.#state.phase !== 'awake') throw new Error('only an awake instance is switched')
    const before = this.#state
    before.idle[Symbol.dispose]()
    const key = besideKey(this.#id, before.running.task.revision)
    const { holds } = this
    this.holds = this.#newHolds()
    const former = this.#addFormer({ ...before, holds, key })
    this.#parts.room?.rename(this.#id, key)
    this.#parts.room?.rename(besideKey(this.#id, running.task.revision), this.#id)
    this.becomeAwake(running)
    return former
  }

  /** Takes over the run of an earlier release that an earlier run of this node left. */
  adoptFormer(running: Running): FormerRun {
    const key = besideKey(this.#id, running.task.revision)
    this.#parts.room?.adopt(key, running.task)
    return this.#addFormer({
      running,
      ...runTargetOf(this.#id, running, this.#parts, this.events),
      holds: this.#newHolds(),
      key,
    })
  }

  #addFormer(of: Pick<FormerRun, 'running' | 'target' | 'liveness' | 'holds'> & { key: RunKey }): FormerRun {
    const former: FormerRun = new FormerRun({
      ...of,
      parts: this.#parts,
      events: this.events,
      onLeave: left => this.#left(left),
      onEnded: () => {
        this.formers.remove(former)
        this.keepCompanions()
        this.#changes.notify()
      },
    })
    this.formers.add(former)
    return former
  }

  #newHolds(): Holds {
    return new Holds(left => this.#left(left))
  }

  #left(left: Left): void {
    if (left.putsOff) this.events.dryWake(this.#parts.clock)
    if (isReady(this.#state)) this.#state.idle.left(left)
  }

  /** Puts it to sleep, once its requests in flight have ended or had their time; fails with `app-stuck`. The caller has the turn. */
  async sleep(why: StopReason): Promise<void> {
    const { clock, drain } = this.#parts
    if (isReady(this.#state)) {
      const { running, idle } = this.#state
      // A request that came while this sleep waited for its turn has called the sleep off.
      if ((why === 'room' || why === 'memory' || why === 'drained') && this.inUse) return
      const isIdle = why === 'idle' || why === 'self'
      if (isIdle && (idle.sleepsAt ?? Number.POSITIVE_INFINITY) > clock.now()) return
      if ((isIdle || why === 'room' || why === 'memory') && this.#isDryRun(running)) return this.#leaveOut(why, idle)
      this.#stop(this.#state, why, ASLEEP)
      const limit = this.isHard ? 0 : drainMs(why, drainOf(running.task, drain))
      if (this.isHard) void this.#kill([running.container])
      const starting = this.beforeSleep()
      const formers = this.#endFormers(why)
      const cut = await this.holds.drain(limit, clock)
      this.events.drained(cut, limit)
      this.holds.goAway()
      this.crashes.forget()
      this.#endRun(running, null)
      await starting
      await this.finishStopping()
      return formers
    }
    await this.beforeSleep()
    const formers = this.#endFormers(why)
    await this.finishStopping()
    return formers
  }

  /**
   * Stops the container that runs, once its uses have ended, and leaves its volume mounted for the next container. The caller, who has the turn,
   * starts that one, or finishes the stop. Fails with `app-stuck`; undefined: all of it is unwound.
   */
  async handOver(): Promise<HandedOver | undefined> {
    if (this.#state.phase !== 'awake') return undefined
    const { running } = this.#state
    const { clock, drain, runtime } = this.#parts
    this.#stop(this.#state, 'updated', ASLEEP)
    const limit = drainMs('updated', drainOf(running.task, drain))
    const cut = await this.holds.drain(limit, clock)
    this.events.drained(cut, limit)
    this.holds.goAway()
    this.crashes.forget()
    this.busy.endAll()
    this.#endRun(running, null)
    const stopped = runtime.stop(running.container, graceMs(running.task, running.lost, this.#parts))
    const isFree = await untilGone(running, runtime, stopped)
    if (isFree && running.lost?.aborted !== true) return { running, stopped }
    await this.finishStopping()
    return undefined
  }

  /**
   * Ends it, in whichever phase it is; a wake that is under way is called off, and fails with the error. `hard`: neither its uses nor the app
   * itself have time to end. Fails with `app-stuck`.
   */
  async end(why: StopReason, kind: SessionEndKind, error: ShadowError): Promise<void> {
    const { state, turn, holds } = this
    if (state.phase === 'waking') {
      this.calledOff = error
      this.events.calledOff(why)
      state.abort.abort(error)
    }
    if (kind === 'soft') return turn.take(() => this.sleep(why))
    this.isHard = true
    try {
      holds.cut()
      const isUnderWay = state.phase === 'waking' || state.phase === 'stopping'
      if (isUnderWay) await this.#kill(await foundOf(this.#parts.runtime, this.#id, this.containers))
      await turn.take(() => this.sleep(why))
    } finally {
      this.isHard = false
    }
  }

  async #kill(containers: readonly Container[]): Promise<void> {
    // The unwinding reports a failure.
    for (const container of containers) await this.#parts.runtime.stop(container, 0).catch(() => undefined)
  }

  /** The caller may take the result later. */
  #endFormers(why: StopReason): Promise<void> {
    const ended = this.formers.end(({ running }) =>
      this.isHard ? 0 : drainMs(why, drainOf(running.task, this.#parts.drain)),
    )
    ended.catch(() => undefined)
    return ended
  }

  /** The same in its turn, for callers that do not wait for it. */
  sleepBehind(why: StopReason): void {
    this.turn.take(() => this.sleep(why)).catch(() => undefined) // it has ended in `stuck`, and that was logged
  }

  /** Why the run is at work though nobody uses it, as it was found last. */
  get atWork(): WorkCheck['found'] {
    return this.#state.phase === 'awake' ? this.#work?.found : undefined
  }

  /** Whether an awake instance is at work though nobody uses it; undefined: it is not. */
  async asked(): Promise<WorkCheck['found']> {
    return this.#state.phase === 'awake' ? this.#work?.ask() : undefined
  }

  /** The idle clock has rung: it is put to sleep, unless it is at work. */
  async #rang(idle: Idle): Promise<void> {
    if (idle.isSoon) return this.sleepBehind('self')
    if (isFrozen(this.#state.phase)) return this.#stepDown(idle)
    const found = await this.#work?.ask()
    // It may have been stopped meanwhile, or been used: then the clock runs anew.
    if (this.#state.phase !== 'awake' || this.#state.idle !== idle) return
    if (found !== undefined) idle.again(found.againInMs)
    else this.#stepDown(idle)
  }

  #stepDown(idle: Idle): void {
    if ((idle.sleepsAt ?? Number.POSITIVE_INFINITY) <= this.#parts.clock.now()) this.sleepBehind('idle')
    else this.freezing.stepDown(this.turn)
  }

  #workCheckOf(running: Running): WorkCheck | undefined {
    if (!WorkCheck.isWanted(running.task)) return undefined
    const { runtime, clock, journal, visitorsOf } = this.#parts
    const note = (line: string): void => journal(this.#id, line)
    return new WorkCheck({ running, runtime, visitors: visitorsOf?.(running.task.app) ?? {}, clock, note })
  }

  #isDryRun({ task }: Running): boolean {
    return task.sleep.dryRun ?? this.#parts.sleepDryRun === true
  }

  /** A dry run records a sleep in place of it. */
  #leaveOut(why: StopReason, idle: Idle): void {
    idle.rest()
    this.events.drySleep(why, this.#parts.clock)
    this.#changes.notify()
  }

  /** Its idle time may be another one now. */
  idleChanged(): void {
    if (!isReady(this.#state)) return
    this.#state.idle.setAnew()
    this.#changes.notify()
  }

  /** Puts it to sleep as soon as nobody uses it, because the app itself asked for it: its own leases end. */
  sleepSoon(): void {
    this.busy.endAll()
    if (this.#state.phase === 'awake') this.#state.idle.soon()
  }

  #enterBusy({ why, since, until }: BusyLease): Disposable | undefined {
    if (this.#state.phase !== 'awake') return undefined
    const { clock } = this.#parts
    const request = { kind: 'busy', what: why, bytes: 0, mayWake: true, until: new Date(until).toISOString() } as const
    return this.holds.enter(request, this.#state.target, clock.now() - Math.max(0, wallAt(clock, clock.now()) - since))
  }

  /** Ends an awake instance at once because of what it did to the machine: it becomes crashed, with this problem. */
  async exceed({ running }: Ready, problem: ShadowError): Promise<void> {
    this.#exceeded = problem
    // Its earlier releases may have done it.
    void this.formers.end(() => 0).catch(() => undefined) // each inventory tries again to remove what is left
    await this.#parts.runtime.stop(running.container, 0)
    // The watch may have reported its end already.
    this.#died(running, undefined)
    await this.turn.take(async () => undefined)
  }

  /** Undoes what an earlier run left half-way, or a container that should not be there. The caller has the turn. */
  async undoStrays(undo: Unwind): Promise<void> {
    this.become({ phase: 'stopping', undo, next: this.#state.phase === 'crashed' ? this.#state : ASLEEP })
    await this.finishStopping()
  }

  /** Unwinds what is left to unwind, from the step at which the last try stopped; fails with `app-stuck`. */
  async finishStopping(): Promise<void> {
    const state = this.#state
    if (state.phase !== 'stopping' && state.phase !== 'stuck') return
    try {
      await state.undo.unwind()
    } catch (cause) {
      const problem = isStuck(this.#id, state.undo.held, cause)
      this.become({ phase: 'stuck', undo: state.undo, next: state.next, problem })
      this.events.stuck(state.undo.held, problem)
      throw problem
    }
    this.become(state.next)
    this.events.rests(state.next.phase)
    const { problem } = state.next
    const why = this.events.facts.stoppedBy
    const code = problem?.details.facts?.['exitCode'] ?? (why === 'died' ? this.#exit?.exitCode : undefined)
    this.#parts.onRested?.(this.#id, { why, problem, ...(typeof code === 'number' && { exitCode: code }) })
  }

  /** Compares an awake instance with the containers that were found at the time `at`. */
  async compare({ running, liveness, since }: Ready, at: number, found: readonly FoundContainer[]) {
    this.formers.compare(at, found)
    if (since >= at) return // it was woken after the inventory was taken
    const there = found.find(({ id }) => id === running.container.id)
    if (there === undefined) return this.#died(running, undefined)
    await liveness.checkMemory()
    running.watch.compare(there.running)
  }

  #stop({ running, idle, liveness }: Ready, why: StopReason, next: Rest): void {
    liveness.end(wasStopped(running, why))
    idle[Symbol.dispose]()
    running.watch.end()
    // After any other end somebody else may need the disk now.
    const mayStay = why === 'idle' || why === 'self' || why === 'memory'
    this.#parts.lingering?.permit(this.#id, mayStay, running.task.sleep.detachAfter)
    this.become({ phase: 'stopping', undo: running.undo, next })
    this.events.stopping(why)
    this.holds.revoke()
  }

  #died(running: Running, exit: Exit | undefined): void {
    if (!isReady(this.#state) || this.#state.running !== running) return
    const exceeded = this.#exceeded
    this.#exceeded = undefined
    this.#exit = exit
    const now = this.#parts.clock.now()
    const ofItself = this.crashes.ended(exit?.exitCode, running.readyAt, now)
    const problem = exceeded ?? diedAwake(running.task, exit, now - running.readyAt < SOON_MS)
    this.events.died(exit, problem, this.crashes.count)
    // First of all nothing more goes to its address, and the requests in flight are answered.
    this.#state.liveness.end(problem)
    this.#endRun(running, problem)
    this.#stop(this.#state, 'died', ofItself ? ASLEEP : { phase: 'crashed', problem })
    this.#finishBehind()
  }

  /** Another node may soon write to the volume: the container ends now, whatever is in flight, and also if it is stopping already. */
  #leaseLost(running: Running): void {
    const { container, lost } = running
    // What is frozen has nothing in flight, and must not run on.
    const ms = isFrozen(this.#state.phase) ? 0 : graceMs(running.task, lost, this.#parts)
    if (isReady(this.#state) && this.#state.running === running) {
      const problem = asShadowError(lost?.reason)
      this.#stop(this.#state, 'lease-lost', { phase: 'asleep', problem })
      this.holds.goAway()
      this.#endRun(running, problem)
      this.#finishBehind()
    }
    this.#parts.runtime.stop(container, ms).catch(() => undefined) // the unwinding reports a failure
  }

  #finishBehind(): void {
    this.turn.take(() => this.finishStopping()).catch(() => undefined) // it has ended in `stuck`, and that was logged
  }

  #endRun({ container: { id: container }, address }: Running, problem: ShadowError | null): void {
    this.#parts.onRunEnded({ run: this.#run, container, address, problem: problem?.toProblem() ?? null })
  }
}
