import { deadline, orAborted } from '../lib/abort.ts'
import { Changes } from '../lib/changes.ts'
import { asShadowError, isFailure, ShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { Turn } from '../lib/turn.ts'
import type { Unwind } from '../lib/unwind.ts'
import type { Ask, Held, InstanceView, StopReason } from '../model/instance.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { sayMs, toMs } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { Crashes, LIVED_MS } from './crashes.ts'
import { Holds } from './holds.ts'
import { Idle } from './idle.ts'
import { diedAwake } from './postmortem.ts'
import type { Queue } from './queue.ts'
import { inCrashLoop, isAsleep, isStuck, isWaking, usesVolume } from './refusals.ts'
import type { Exit, FoundContainer } from './runtime/runtime.ts'
import type { OnStep, Phased, Rest, Running, State } from './state.ts'
import { viewOf } from './view.ts'
import { beginWake, type WakeParts } from './wake.ts'

export type InstanceParts = WakeParts & {
  readonly node: NodeName
  readonly queue: Queue
  readonly log: Log
  /** Writes an event into the app's own log. */
  readonly journal: (app: AppName, line: string) => void
  /** The runtime lost sight of a container: somebody should look what is there. */
  readonly onLost: () => void
  /** The app is not at this address any more. */
  readonly onLeft: (address: string) => void
}

// How long requests in flight may go on when the app is to stop though it is used.
const DRAIN_MS: Readonly<Record<StopReason, number>> = {
  idle: 0,
  died: 0,
  asked: 10_000,
  shutdown: 10_000,
  removed: 10_000,
  updated: 30_000,
}

const APP_FAULTS = ['app-crashed', 'app-not-ready', 'command-not-found'] as const
const ASLEEP: Rest = { phase: 'asleep', problem: null }
const SUPERSEDED = new ShadowError('changed', 'a newer revision came while the app was being woken')

/** One app on this node, from asleep to awake and back. Its wakes and its sleeps take turns; whoever needs it awake holds it. */
export class Instance {
  readonly app: AppName
  readonly #parts: InstanceParts
  readonly #turn = new Turn()
  readonly #holds: Holds
  readonly #crashes = new Crashes()
  readonly #changes = new Changes()
  #task: TaskDefinition
  #state: State
  #waking: Promise<void> | undefined
  #drained: (() => void) | undefined
  #gone: ShadowError | undefined
  #wokenBy: string | null = null
  #stoppedBy: StopReason | null = null
  #lastWake: InstanceView['lastWake'] = null

  constructor(task: TaskDefinition, parts: InstanceParts) {
    this.app = task.app
    this.#task = task
    const onStep: OnStep = (...step) => {
      parts.onStep(...step)
      this.#changes.tell()
    }
    this.#parts = { ...parts, onStep }
    this.#holds = new Holds(how => this.#left(how))
    this.#state = { ...ASLEEP, since: parts.clock.now() }
  }

  get phase(): State['phase'] {
    return this.#state.phase
  }

  get task(): TaskDefinition {
    return this.#task
  }

  /** Keeps the app awake until the hold is disposed of, waking it first if need be; waiting counts as use. */
  async hold(ask: Ask, signal: AbortSignal): Promise<Held> {
    const now = this.#running()
    if (now !== undefined) return this.#hold(now, ask)
    if (!ask.mayWake) throw this.#notAwake()
    using _room = this.#parts.queue.join(this.app, ask.bytes)
    using _wait = this.#holds.wait()
    using patience =
      ask.patienceMs === undefined ? undefined : deadline(this.#parts.clock, ask.patienceMs, () => isWaking(this.app))
    const from = performance.now()
    const until = patience === undefined ? signal : AbortSignal.any([signal, patience.signal])
    for (;;) {
      await orAborted(this.#wakeUp(ask.what), until)
      // Between its wake and this line it may have ended, or begun to stop for a new revision: then it is woken again.
      const running = this.#running()
      if (running === undefined) continue
      return this.#hold(running, ask, { ...this.#lastWake?.steps, wake: Math.round(performance.now() - from) })
    }
  }

  /** Wakes the app because a person asked; resolves when it is ready. */
  async wake(by: string, signal: AbortSignal): Promise<void> {
    if (this.#state.phase === 'awake') return
    this.#crashes.tryNow()
    await orAborted(this.#wakeUp(by), signal)
  }

  /** Puts the app to sleep, once its requests in flight are done or had their time; fails with `app-stuck`. */
  sleep(why: StopReason): Promise<void> {
    return this.#turn.take(() => this.#sleep(why))
  }

  /** Takes a new definition: an awake app stops when its requests in flight are done, and wakes with it when it is next wanted. */
  define(task: TaskDefinition): void {
    if (task.revision === this.#task.revision && task.createdAt === this.#task.createdAt) return
    this.#task = task
    this.#crashes.forget()
    if (this.#state.phase === 'waking') this.#state.abort.abort(SUPERSEDED)
    else if (this.#state.phase === 'awake') this.#sleepAside('updated')
    else if (this.#state.phase === 'crashed') this.#become(ASLEEP)
  }

  /** Takes over a container that an earlier run of this node left in good order. */
  adopt(running: Running): void {
    this.#wokenBy = 'an earlier run of this node'
    this.#nowAwake(running)
    if (running.task.revision !== this.#task.revision) this.#sleepAside('updated')
  }

  /** Takes over what an earlier run left half-way, and what could not be undone of it. */
  async takeUp(undo: Unwind): Promise<void> {
    this.#become({ phase: 'stopping', undo, next: ASLEEP })
    this.#stoppedBy = 'died'
    await this.#turn.take(() => this.#finishStopping())
  }

  /** Compares with what the runtime had of this app at the time `at`, and mends what differs; `strays` undoes what is left over. */
  look(at: number, found: readonly FoundContainer[], strays: () => Unwind | undefined): Promise<void> {
    return this.#turn.take(async () => {
      if (this.#state.phase === 'stuck') return this.#finishStopping()
      if (this.#state.phase === 'awake') {
        const { running, since } = this.#state
        if (since >= at) return // it was woken after the look
        if (found.some(container => container.id === running.container.id)) return this.#watchAnew(running)
        return this.#died(running, undefined)
      }
      const undo = strays()
      if (undo === undefined) return
      this.#become({ phase: 'stopping', undo, next: restOf(this.#state) })
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
        this.#state.idle[Symbol.dispose]()
        this.#state.running.watch.abort()
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
      throw usesVolume(this.app, this.#state.phase)
    })
  }

  view(): InstanceView {
    const facts = {
      app: this.app,
      node: this.#parts.node,
      revision: this.#task.revision,
      holds: this.#holds,
      crashes: this.#crashes,
      wokenBy: this.#wokenBy,
      stoppedBy: this.#stoppedBy,
      lastWake: this.#lastWake,
    }
    return viewOf(this.#state, facts, this.#parts.clock.now())
  }

  /** The instance now and at each change, until the signal aborts; a slow reader misses what was between. */
  follow(signal: AbortSignal): AsyncIterable<InstanceView> {
    return this.#changes.follow(() => this.view(), signal)
  }

  // No await in here: between looking at `#waking` and setting it is where two wakes would slip in.
  #wakeUp(by: string): Promise<void> {
    if (this.#waking !== undefined) return this.#waking
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const settle = (): void => {
      if (this.#waking === promise) this.#waking = undefined
    }
    const fail = (error: unknown): void => {
      settle()
      reject(error)
    }
    promise.catch(() => undefined) // those who wait are told; all may have left
    this.#waking = promise
    this.#turn
      .take(() => this.#wake(by, fail))
      .then(() => {
        settle()
        resolve()
      }, fail)
    return promise
  }

  /** Wakes the app in its turn. `fail` ends the wait at once; unwinding goes on behind it. */
  async #wake(by: string, fail: (error: unknown) => void): Promise<void> {
    while (this.#state.phase !== 'awake') {
      if (this.#gone !== undefined) throw this.#gone
      await this.#finishStopping()
      this.#refuseCrashLoop()
      const abort = new AbortController()
      const from = performance.now()
      const wake = beginWake(this.#task, this.#parts, abort.signal)
      this.#wokenBy = by
      this.#become({ phase: 'waking', abort, wake })
      try {
        const running = await wake.running
        const ms = Math.round(performance.now() - from)
        this.#lastWake = { ms, steps: wake.steps }
        this.#nowAwake(running)
        this.#parts.log.info('app awake', { app: this.app, by, ms, steps: wake.steps })
        this.#parts.journal(this.app, `awake after ${sayMs(ms)}, woken by ${by}`)
        if (running.task !== this.#task) this.#sleepAside('updated')
      } catch (error) {
        const next = error === SUPERSEDED ? ASLEEP : this.#failed(asShadowError(error))
        this.#become({ phase: 'stopping', undo: wake.undo, next })
        if (error !== SUPERSEDED) fail(error)
        await this.#finishStopping()
        if (error !== SUPERSEDED) return
      }
    }
  }

  #failed(problem: ShadowError): Rest {
    if (problem === this.#gone) return ASLEEP
    this.#stoppedBy = 'died'
    const ofTheApp = isFailure(problem, ...APP_FAULTS)
    if (ofTheApp) this.#crashes.failed(this.#parts.clock.now())
    const { code, message: detail, cause } = problem
    this.#parts.log.warn('app wake failed', { app: this.app, code, detail, cause, failures: this.#crashes.count })
    this.#parts.journal(this.app, `wake failed: ${firstLine(detail)}`)
    return { phase: ofTheApp ? 'crashed' : 'asleep', problem }
  }

  async #sleep(why: StopReason): Promise<void> {
    if (this.#state.phase === 'awake') {
      const { running, idle } = this.#state
      // Whoever came while this sleep waited for its turn has called it off.
      if (why === 'idle' && (idle.ringsAt ?? Number.POSITIVE_INFINITY) > this.#parts.clock.now()) return
      this.#stop(this.#state, why, ASLEEP)
      await this.#drain(DRAIN_MS[why])
      this.#crashes.forget()
      this.#parts.onLeft(running.address)
    }
    await this.#finishStopping()
  }

  #sleepAside(why: StopReason): void {
    this.sleep(why).catch(() => undefined) // it has ended in `stuck`, and that was logged
  }

  #stop({ running, idle }: Phased & { phase: 'awake' }, why: StopReason, next: Rest): void {
    idle[Symbol.dispose]()
    running.watch.abort()
    this.#stoppedBy = why
    this.#become({ phase: 'stopping', undo: running.undo, next })
    this.#parts.journal(this.app, `going to sleep: ${why}`)
  }

  async #drain(withinMs: number): Promise<void> {
    if (this.#holds.inFlight === 0 || withinMs === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#drained = resolve
    using _limit = this.#parts.clock.after(withinMs, resolve)
    await promise
    this.#drained = undefined
  }

  /** Unwinds what is to be unwound, where the last try stopped; fails with `app-stuck`. */
  async #finishStopping(): Promise<void> {
    const state = this.#state
    if (state.phase !== 'stopping' && state.phase !== 'stuck') return
    try {
      await state.undo.unwind()
    } catch (cause) {
      const problem = isStuck(this.app, state.undo.held, cause)
      this.#become({ phase: 'stuck', undo: state.undo, next: state.next, problem })
      this.#parts.log.warn('app stuck', { app: this.app, held: state.undo.held, cause })
      this.#parts.journal(this.app, firstLine(problem.message))
      throw problem
    }
    this.#become(state.next)
    this.#parts.log.info(`app ${state.next.phase}`, { app: this.app, why: this.#stoppedBy })
    this.#parts.journal(this.app, `${state.next.phase}: ${this.#stoppedBy}`)
  }

  #nowAwake(running: Running): void {
    const { idleAfter } = running.task.sleep
    const idle = new Idle({
      clock: this.#parts.clock,
      idleAfterMs: idleAfter === 'never' ? undefined : toMs(idleAfter),
      inUse: () => this.#holds.inUse,
      onIdle: () => this.#sleepAside('idle'),
    })
    this.#become({ phase: 'awake', running, idle })
    this.#watch(running)
  }

  #watch(running: Running): void {
    const still = (): boolean =>
      this.#state.phase === 'awake' && this.#state.running === running && !running.watch.signal.aborted
    running.exited.then(
      exit => {
        if (still() && exit === undefined) this.#parts.onLost()
        else if (still()) this.#died(running, exit)
      },
      () => still() && this.#parts.onLost(),
    )
  }

  #watchAnew(running: Running): void {
    if (this.#state.phase !== 'awake') return
    running.watch.abort()
    const watch = new AbortController()
    const exited = this.#parts.runtime.exited(running.container, watch.signal)
    const again = { ...running, watch, exited }
    this.#state = { ...this.#state, running: again }
    this.#watch(again)
  }

  #died(running: Running, exit: Exit | undefined): void {
    if (this.#state.phase !== 'awake') return
    const now = this.#parts.clock.now()
    const lived = now - running.readyAt >= LIVED_MS
    if (lived) this.#crashes.forget()
    const ofItself = lived && exit?.exitCode === 0
    if (!ofItself) this.#crashes.failed(now)
    const problem = diedAwake(running.task, exit)
    this.#parts.log.warn('app died', { app: this.app, ...exit, failures: this.#crashes.count })
    this.#stop(this.#state, 'died', ofItself ? ASLEEP : { phase: 'crashed', problem })
    this.#parts.onLeft(running.address)
    this.#turn.take(() => this.#finishStopping()).catch(() => undefined) // it has ended in `stuck`
  }

  #refuseCrashLoop(): void {
    if (this.#state.phase !== 'crashed') return
    const { problem } = this.#state
    const retryAfterMs = this.#crashes.retryAt - this.#parts.clock.now()
    if (retryAfterMs <= 0) return
    throw inCrashLoop(this.app, problem, this.#crashes.count, retryAfterMs)
  }

  #notAwake(): ShadowError {
    if (this.#gone !== undefined) return this.#gone
    if (this.#state.phase === 'crashed' || this.#state.phase === 'stuck') return this.#state.problem
    if (this.#waking !== undefined) return isWaking(this.app)
    return isAsleep(this.app)
  }

  #running(): Running | undefined {
    return this.#state.phase === 'awake' ? this.#state.running : undefined
  }

  #hold(running: Running, ask: Ask, waited?: Readonly<Record<string, number>>): Held {
    const counts = ask.kind !== 'websocket' || running.task.sleep.webSockets === 'hold'
    const { kind, what, mayWake } = ask
    // A check that may not wake the app is use while it lasts, but a row of them must not keep the app from sleeping.
    const hold = this.#holds.enter({ kind, what, since: this.#parts.clock.now() }, { counts, putsOff: mayWake })
    return { address: running.address, headers: {}, waited, [Symbol.dispose]: () => hold[Symbol.dispose]() }
  }

  #left(how: { putsOff: boolean }): void {
    if (this.#state.phase === 'awake') this.#state.idle.left(how)
    if (this.#holds.inFlight === 0) this.#drained?.()
  }

  #become(next: Phased): void {
    this.#state = { ...next, since: this.#parts.clock.now() }
    this.#changes.tell()
  }
}

const restOf = (state: State): Rest =>
  state.phase === 'crashed' ? { phase: 'crashed', problem: state.problem } : ASLEEP

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? ''
