import { orAborted } from '../lib/abort.ts'
import { Changes } from '../lib/changes.ts'
import { asShadowError, ShadowError } from '../lib/errors.ts'
import type { Leaver } from '../lib/leaver.ts'
import { Singleflight } from '../lib/singleflight.ts'
import { Turn } from '../lib/turn.ts'
import type { Unwind } from '../lib/unwind.ts'
import type { Ask, Held, InstanceView, StopReason } from '../model/instance.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'
import type { VolumeId } from '../model/names.ts'
import { toMs } from '../model/quantities.ts'
import { type PinnedImage, TASK_DEFAULTS, type TaskDefinition } from '../model/task.ts'
import { Crashes } from './crashes.ts'
import { drainMs, drainOf } from './drain.ts'
import { Holds, type Way } from './holds.ts'
import { Idle } from './idle.ts'
import type { InstanceParts } from './instance-parts.ts'
import { Lifeline, wasStopped } from './lifeline.ts'
import { diedAwake } from './postmortem.ts'
import { isAsleep, isStuck, isWaking, usesVolume } from './refusals.ts'
import { pinOf } from './resolved.ts'
import type { Known } from './revisions.ts'
import type { Exit, FoundContainer } from './runtime/runtime.ts'
import { isOfRevision, isSame, toRun } from './standing-in.ts'
import type { Phased, Rest, Running, State } from './state.ts'
import { Story } from './story.ts'
import { foundOf, graceMs, volumeOf } from './undo.ts'
import { viewOf } from './view.ts'
import { Wait } from './wait.ts'
import { beginWake } from './wake.ts'
import { WakeRate } from './wake-rate.ts'

const ASLEEP: Rest = { phase: 'asleep', problem: null }
/** The image that a definition names here, and the one that the current revision ran. */
export type Checked = { readonly image: PinnedImage | null; readonly ran: PinnedImage | null }

// An app that ends so soon after it was ready has probably gone on in the background.
const SOON_MS = 10_000
const SUPERSEDED = new ShadowError('changed', 'a newer revision came while the app was being woken')

/** One instance of an app on this node, from asleep to awake and back. Its wakes and its sleeps take turns; whoever needs it awake holds it. */
export class Instance {
  readonly id: InstanceId
  readonly #parts: InstanceParts
  readonly #turn = new Turn()
  readonly #holds: Holds
  readonly #crashes = new Crashes()
  readonly #wakeRate = new WakeRate()
  readonly #changes = new Changes()
  readonly #story: Story
  readonly #wakes = new Singleflight()
  #task: TaskDefinition
  #known: Known
  /** A look whether a new revision can be run, while the old one serves. */
  #replacing: Promise<void> | undefined
  #state: State
  #gone: ShadowError | undefined
  #exceeded: ShadowError | undefined
  #lastRun: { readonly run: string; readonly lifeline: Lifeline } | undefined

  constructor(id: InstanceId, task: TaskDefinition, parts: InstanceParts) {
    this.id = id
    this.#task = task
    this.#parts = {
      ...parts,
      onStep: (...step) => {
        parts.onStep(...step)
        this.#changes.tell()
      },
    }
    this.#known = parts.revisions?.of(id) ?? {}
    this.#story = new Story({ instance: id, log: parts.log, journal: parts.journal, tally: parts.tally })
    this.#holds = new Holds(left => {
      if (this.#state.phase === 'awake') this.#state.idle.left(left)
    })
    this.#state = { ...ASLEEP, since: parts.clock.now() }
  }

  get phase(): State['phase'] {
    return this.#state.phase
  }

  get holding(): number {
    return this.#holds.holding
  }

  get waiting(): number {
    return this.#holds.waiting
  }

  /** The lifeline of a run of the app, where that is its last one. */
  lifeline(run: string): Lifeline | undefined {
    return this.#lastRun?.run === run ? this.#lastRun.lifeline : undefined
  }

  /** The volume that it may have attached; undefined for one of several instances. */
  get volume(): VolumeId | undefined {
    return volumeOf(this.id, this.#task)
  }

  get task(): TaskDefinition {
    return this.#task
  }

  /** Keeps the app awake until the hold is disposed of, waking it first if need be; waiting counts as use. At once where it is awake. */
  hold(ask: Ask, leaver: Leaver): Held | Promise<Held> {
    const now = this.#way()
    return now === undefined ? this.#holdOnceAwake(ask, leaver.signal) : this.#hold(now, ask)
  }

  async #holdOnceAwake(ask: Ask, signal: AbortSignal): Promise<Held> {
    const isIgnored = ask.kind === 'websocket' && this.#task.sleep.webSockets === 'ignore'
    if (!ask.mayWake || (isIgnored && !this.#wakes.isUnderWay)) throw this.#notAwake()
    if (this.#state.phase === 'asleep' && !this.#wakes.isUnderWay) {
      const { wakes = TASK_DEFAULTS.wakes } = this.#task.sleep
      this.#wakeRate.take(this.id, wakes, this.#parts.clock.now())
    }
    const { queue, clock } = this.#parts
    using wait = new Wait(ask, signal, { instance: this.id, queue, holds: this.#holds, clock })
    for (;;) {
      await orAborted(this.#wakeUp(ask.what), wait.signal)
      // Between its wake and this line it may have ended, or begun to stop for a new revision: then it is woken again.
      const way = this.#way()
      if (way !== undefined) return this.#hold(way, ask, wait.took(this.#story.facts.lastWake?.steps))
    }
  }

  /** Wakes the app because a person asked, with its current revision if that can be; resolves when it is ready. */
  async wake(by: string, signal: AbortSignal): Promise<void> {
    if (this.#replacing === undefined && this.#rejected !== null) {
      this.#learn({ good: this.#known.good }) // a person wants another try
      if (this.#state.phase === 'awake') this.#replace()
    }
    await orAborted(this.#replacing ?? Promise.resolve(), signal)
    if (this.#state.phase === 'awake' && isSame(this.#state.running.task, this.#toRun())) return
    this.#crashes.tryNow()
    await orAborted(this.#wakeUp(by), signal)
  }

  /** Puts the app to sleep, once its requests in flight are done or had their time; fails with `app-stuck`. */
  sleep(why: StopReason): Promise<void> {
    return this.#turn.take(() => this.#sleep(why))
  }

  /** Ends the app at once, for what it did to the machine: it counts as crashed, and the problem says why. */
  async exceed(problem: ShadowError): Promise<void> {
    const state = this.#state
    if (state.phase !== 'waking' && state.phase !== 'awake') return
    this.#parts.journal(this.id, problem.message)
    if (state.phase === 'waking') {
      state.abort.abort(problem)
      const { runtime } = this.#parts
      for (const container of await foundOf(runtime, this.id)) await runtime.stop(container, 0)
      return
    }
    this.#exceeded = problem
    await this.#parts.runtime.stop(state.running.container, 0)
    // Whether it was the watch that told of its end, or this.
    this.#died(state.running, undefined)
    await this.#turn.take(async () => undefined)
  }

  /** Since when nobody uses the app, which is awake and may be put to sleep; undefined where that is not so. */
  get idleSince(): number | undefined {
    return this.#state.phase === 'awake' ? this.#state.idle.since : undefined
  }

  /**
   * Takes a new definition. An awake app goes on until it is known that the new one can be run; then it stops when its requests in
   * flight are done, and wakes with it when it is next wanted.
   */
  define(task: TaskDefinition): void {
    if (task.revision === this.#task.revision && task.createdAt === this.#task.createdAt) return
    this.#task = task
    this.#crashes.forget()
    if (this.#state.phase === 'waking') this.#state.abort.abort(SUPERSEDED)
    else if (this.#state.phase === 'awake') this.#replace()
    else if (this.#state.phase === 'crashed') this.#become(ASLEEP)
  }

  /** Looks whether a definition can be run, where the app is awake and would be stopped for it; otherwise which image it names here. */
  async check(task: TaskDefinition, signal: AbortSignal): Promise<Checked> {
    const { runtime } = this.#parts
    const serves = this.#state.phase === 'awake' || this.#state.phase === 'waking'
    const image = await (serves ? runtime.check(task, signal) : runtime.findImage(task.image, signal))
    const { good } = this.#known
    return { image: pinOf(image), ran: (isSame(good, this.#task) ? good?.pinned : undefined) ?? null }
  }

  /** Takes over a container that an earlier run of this node left in good order. */
  adopt(running: Running): void {
    this.#story.waking('an earlier run of this node')
    this.#parts.room?.adopt(this.id, running.task)
    this.#nowAwake(running)
    if (running.task.revision !== this.#toRun().revision) this.#replace()
  }

  /** Takes over what an earlier run left half-way, and what could not be undone of it. */
  async takeUp(undo: Unwind): Promise<void> {
    this.#become({ phase: 'stopping', undo, next: ASLEEP })
    this.#story.leftHalfWay()
    await this.#turn.take(() => this.#finishStopping())
  }

  /** Compares with what the runtime had of this app at the time `at`, and mends what differs; `strays` undoes what is left over. */
  look(at: number, found: readonly FoundContainer[], strays: () => Unwind | undefined): Promise<void> {
    return this.#turn.take(async () => {
      if (this.#state.phase === 'stuck' || this.#state.phase === 'stopping') return this.#finishStopping()
      if (this.#state.phase === 'awake') {
        const { running, since } = this.#state
        if (since >= at) return // it was woken after the look
        if (found.some(container => container.id === running.container.id)) {
          await this.#state.lifeline.look()
          return running.watch.again()
        }
        return this.#died(running, undefined)
      }
      const undo = strays()
      if (undo === undefined) return
      this.#become({ phase: 'stopping', undo, next: this.#state.phase === 'crashed' ? this.#state : ASLEEP })
      await this.#finishStopping()
    })
  }

  /** Takes no more; `sleep` puts it to sleep too, otherwise what is awake goes on running and a wake under way is undone. */
  async close(gone: ShadowError, why: 'removed' | 'shutdown', options: { sleep: boolean }): Promise<void> {
    this.#gone = gone
    if (this.#state.phase === 'waking') this.#state.abort.abort(gone)
    try {
      await this.#turn.take(async () => {
        if (options.sleep) return this.#sleep(why)
        if (this.#state.phase !== 'awake') return
        // Nobody will renew its lease, which must not end under a container that writes.
        if (this.#state.running.lost !== undefined) return this.#sleep(why)
        this.#state.idle[Symbol.dispose]()
        this.#state.running.watch.end()
      })
    } catch (error) {
      if (why === 'removed') this.#gone = undefined // it is still here
      throw error
    }
  }

  /** Runs the deed while nothing of the app runs or is mounted; fails with `volume-in-use`. */
  atRest<T>(deed: () => Promise<T>): Promise<T> {
    return this.#turn.take(async () => {
      if (this.#state.phase === 'asleep' || this.#state.phase === 'crashed') return deed()
      throw usesVolume(this.id, this.#state.phase)
    })
  }

  view(): InstanceView {
    const facts = {
      app: appOf(this.id),
      instance: this.id,
      node: this.#parts.node,
      revision: this.#task.revision,
      holds: this.#holds,
      crashes: this.#crashes,
      wakeRate: this.#wakeRate,
      rejected: this.#rejected,
      ...this.#story.facts,
    }
    return { ...viewOf(this.#state, facts, this.#parts.clock), drain: drainOf(this.#task, this.#parts.drain) }
  }

  /** The instance now and at each change, until the signal aborts; a slow reader misses what was between. */
  follow(signal: AbortSignal): AsyncIterable<InstanceView> {
    return this.#changes.follow(() => this.view(), signal)
  }

  #wakeUp(by: string): Promise<void> {
    return this.#wakes.join(fail => this.#turn.take(() => this.#wake(by, fail)))
  }

  /** Wakes the app in its turn. `fail` ends the wait at once; unwinding goes on behind it. */
  async #wake(by: string, fail: (error: unknown) => void): Promise<void> {
    while (this.#state.phase !== 'awake') {
      if (this.#gone !== undefined) throw this.#gone
      await this.#finishStopping()
      if (this.#state.phase === 'crashed')
        this.#crashes.refuseLoop(this.id, this.#state.problem, this.#parts.clock.now())
      const abort = new AbortController()
      const from = performance.now()
      const task = this.#toRun()
      const wake = beginWake(this.id, task, this.#parts, abort.signal)
      this.#story.waking(by)
      this.#become({ phase: 'waking', abort, wake })
      try {
        const running = await wake.running
        this.#nowAwake(running)
        this.#story.awake(Math.round(performance.now() - from), wake.steps)
        this.#ranWell(running.task)
        if (!isSame(running.task, this.#toRun())) this.#replace()
      } catch (error) {
        const goesOn = error === SUPERSEDED || this.#reject(task, error)
        const next = goesOn ? ASLEEP : this.#failed(asShadowError(error))
        this.#become({ phase: 'stopping', undo: wake.undo, next })
        if (!goesOn) fail(error)
        await this.#finishStopping()
        if (!goesOn) return
      }
    }
  }

  /** What to run when it is next wanted. */
  #toRun(): TaskDefinition {
    return toRun(this.#task, this.#known)
  }

  get #rejected(): InstanceView['rejected'] {
    const { good, bad } = this.#known
    if (good === undefined || bad === undefined || !isSame(bad, this.#task)) return null
    return { revision: bad.revision, problem: bad.problem }
  }

  /** Looks whether the current revision can be run, and lets go of the one that runs if so; a bad one is rejected, and told of. */
  #replace(): void {
    const task = this.#task
    const look = async (): Promise<void> => {
      const problem = await this.#parts.runtime.check(task, new AbortController().signal).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (task !== this.#task || this.#state.phase !== 'awake') return
      if (problem === undefined || !this.#reject(task, problem)) this.#sleepAside('updated')
    }
    const replacing = look().finally(() => {
      if (this.#replacing === replacing) this.#replacing = undefined
    })
    this.#replacing = replacing
  }

  /** Keeps it in mind that a revision cannot be made ready, where an earlier one can stand in for it; whether that is so. */
  #reject(task: TaskDefinition, problem: unknown): boolean {
    const { good } = this.#known
    if (!isOfRevision(problem) || problem === this.#gone || good === undefined || isSame(good, task)) return false
    if (!isSame(task, this.#task)) return false
    const { revision, createdAt } = task
    this.#learn({ good, bad: { revision, createdAt, problem: problem.toProblem() } })
    this.#story.rejected(revision, good.revision, problem)
    return true
  }

  #ranWell(task: TaskDefinition): void {
    const { good, bad } = this.#known
    if (isSame(good, task) && good?.pinned?.id === task.pinned?.id) return
    this.#learn({ good: task, bad: isSame(bad, task) ? undefined : bad })
  }

  #learn(known: Known): void {
    this.#known = known
    this.#parts.revisions?.keep(this.id, known)
    this.#changes.tell()
  }

  #failed(problem: ShadowError): Rest {
    if (problem === this.#gone) return ASLEEP
    const ofTheApp = this.#crashes.failedToWake(problem, this.#parts.clock.now())
    this.#story.wakeFailed(problem, this.#crashes.count)
    return { phase: ofTheApp ? 'crashed' : 'asleep', problem }
  }

  async #sleep(why: StopReason): Promise<void> {
    if (this.#state.phase === 'awake') {
      const { running, idle } = this.#state
      // Whoever came while this sleep waited for its turn has called it off.
      if (why === 'room' && this.#holds.inUse) return
      if (why === 'idle' && (idle.ringsAt ?? Number.POSITIVE_INFINITY) > this.#parts.clock.now()) return
      this.#stop(this.#state, why, ASLEEP)
      const limit = drainMs(why, drainOf(running.task, this.#parts.drain))
      const cut = await this.#holds.drain(limit, this.#parts.clock)
      this.#story.drained(cut, limit)
      this.#holds.goAway()
      this.#crashes.forget()
      this.#left(running, null)
    }
    await this.#finishStopping()
  }

  #sleepAside(why: StopReason): void {
    this.sleep(why).catch(() => undefined) // it has ended in `stuck`, and that was logged
  }

  #stop({ running, idle, lifeline }: Phased & { phase: 'awake' }, why: StopReason, next: Rest): void {
    lifeline.end(wasStopped(running, why))
    idle[Symbol.dispose]()
    running.watch.end()
    this.#become({ phase: 'stopping', undo: running.undo, next })
    this.#story.stopping(why)
    this.#holds.revoke()
  }

  /** Unwinds what is to be unwound, where the last try stopped; fails with `app-stuck`. */
  async #finishStopping(): Promise<void> {
    const state = this.#state
    if (state.phase !== 'stopping' && state.phase !== 'stuck') return
    try {
      await state.undo.unwind()
    } catch (cause) {
      const problem = isStuck(this.id, state.undo.held, cause)
      this.#become({ phase: 'stuck', undo: state.undo, next: state.next, problem })
      this.#story.stuck(state.undo.held, problem)
      throw problem
    }
    this.#become(state.next)
    this.#story.rests(state.next.phase)
  }

  #nowAwake(running: Running): void {
    const idle = new Idle({
      clock: this.#parts.clock,
      idleAfter: running.task.sleep.idleAfter,
      inUse: () => this.#holds.inUse,
      onIdle: () => this.#sleepAside('idle'),
    })
    const { webSockets } = running.task.sleep
    const badAnswer = (fault: string): void => this.#story.badAnswer(fault, this.#parts.clock)
    const run = running.container.id
    const { runtime, clock, reopensWithinMs, look } = this.#parts
    const lifeline = new Lifeline(running, {
      runtime,
      clock,
      reopensWithinMs,
      lookAround: look,
      bootsUntil: running.readyAt + toMs(running.task.startWithin),
      onMemoryKill: () => this.#story.memoryKill(running.task, clock),
    })
    this.#lastRun = { run, lifeline }
    const refused = (): Promise<void> => lifeline.refused()
    const alive = (): Promise<void> => lifeline.alive()
    const way = { address: running.address, run, webSockets, refused, alive, badAnswer }
    this.#become({ phase: 'awake', running, idle, way, lifeline })
    running.lost?.addEventListener('abort', () => this.#leaseLost(running), { once: true })
    if (running.lost?.aborted) this.#leaseLost(running)
    running.watch.tell({ ended: exit => this.#died(running, exit), lost: this.#parts.onLost })
  }

  #died(running: Running, exit: Exit | undefined): void {
    if (this.#state.phase !== 'awake' || this.#state.running !== running) return
    const exceeded = this.#exceeded
    this.#exceeded = undefined
    const ofItself = this.#crashes.ended(exit?.exitCode, running.readyAt, this.#parts.clock.now())
    const lived = this.#parts.clock.now() - running.readyAt
    const problem = exceeded ?? diedAwake(running.task, exit, lived < SOON_MS)
    this.#story.died(exit, problem, this.#crashes.count)
    // First of all, nothing more goes to its address, and what it had in hand is answered.
    this.#state.lifeline.end(problem)
    this.#left(running, problem)
    this.#stop(this.#state, 'died', ofItself ? ASLEEP : { phase: 'crashed', problem })
    this.#turn.take(() => this.#finishStopping()).catch(() => undefined) // it has ended in `stuck`
  }

  /** Another node may soon write to the volume: the container ends now, whatever is in hand, and also where it is stopping already. */
  #leaseLost(running: Running): void {
    const { container, lost } = running
    if (this.#state.phase === 'awake' && this.#state.running === running) {
      const problem = asShadowError(lost?.reason)
      this.#stop(this.#state, 'lease-lost', { phase: 'asleep', problem })
      this.#holds.goAway()
      this.#left(running, problem)
      this.#turn.take(() => this.#finishStopping()).catch(() => undefined) // it has ended in `stuck`
    }
    this.#parts.runtime.stop(container, graceMs(running.task, lost)).catch(() => undefined) // the unwinding tells
  }

  #left({ container, address }: Running, problem: ShadowError | null): void {
    this.#parts.onLeft({ run: container.id, address, problem: problem?.toProblem() ?? null })
  }

  #notAwake(): ShadowError {
    if (this.#gone !== undefined) return this.#gone
    if (this.#state.phase === 'crashed' || this.#state.phase === 'stuck') return this.#state.problem
    return this.#wakes.isUnderWay ? isWaking(this.id) : isAsleep(this.id)
  }

  #way(): Way | undefined {
    return this.#state.phase === 'awake' ? this.#state.way : undefined
  }

  #hold(way: Way, ask: Ask, waited?: Held['waited']): Held {
    const hold = this.#holds.enter(ask, way, this.#parts.clock.now())
    hold.waited = waited
    return hold
  }

  #become(next: Phased): void {
    this.#state = { ...next, since: this.#parts.clock.now() }
    if (next.phase === 'asleep' || next.phase === 'crashed') this.#parts.room?.leave(this.id)
    this.#changes.tell()
  }
}
