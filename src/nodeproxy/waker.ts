import { deadline, orAborted } from '../lib/abort.ts'
import { asShadowError, ShadowError } from '../lib/errors.ts'
import { Singleflight } from '../lib/singleflight.ts'
import { isFrozen } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import { toMs } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { InstanceParts } from './instance-parts.ts'
import { ASLEEP, type Lifecycle } from './lifecycle.ts'
import type { ParkedContainer } from './parking/parked-container.ts'
import { isSame, type RevisionChoice } from './revision-choice.ts'
import type { Room } from './room.ts'
import type { Rest, Wake, WokenBy } from './state.ts'
import type { NextContainer } from './switch/next-container.ts'
import type { Rollout } from './switch/rollout.ts'
import { Switcher } from './switch/switcher.ts'
import { beginWake } from './wake.ts'

type Options = {
  readonly id: InstanceId
  readonly parts: InstanceParts
  readonly life: Lifecycle
  readonly revision: RevisionChoice
  readonly rollout: Rollout
  /** The container that waits for the next wake; a wake takes it. */
  readonly parked: Pick<ParkedContainer, 'taken' | 'failed'>
  /** Called when a wake has failed through no fault of the app. */
  readonly onSpared: () => void
}

const SUPERSEDED = new ShadowError('changed', 'a newer revision came while the app was being woken')

/** Makes an instance run the revision that it should run: wakes it, one wake at a time, and has a revision that runs replaced by a newer one. */
export class Waker {
  readonly #options: Options
  readonly #wakes = new Singleflight()
  readonly #switcher: Switcher

  constructor(options: Options) {
    this.#options = options
    this.#switcher = new Switcher({ ...options, restart: (...restart) => this.#restart(...restart) })
    options.life.beforeSleep = () => this.#switcher.cancel()
  }

  get isUnderWay(): boolean {
    return this.#wakes.isUnderWay
  }

  /** Whether a newer revision is on its way to take the place of the one that runs. */
  get isSwitching(): boolean {
    return this.#switcher.underWay !== undefined
  }

  /** Wakes it, or joins the wake that is under way; resolves when it is ready. */
  wakeUp(by: WokenBy): Promise<void> {
    return this.#wakes.join(fail => this.#options.life.turn.take(() => this.#wake(by, fail)))
  }

  /** The same because a person asked: a revision that was rejected is tried again, and a crash loop is not waited for. */
  async wakeByHand(by: WokenBy, signal: AbortSignal): Promise<void> {
    const { life, revision } = this.#options
    if (this.#switcher.underWay === undefined && revision.rejected !== null) {
      revision.tryAgain()
      if (life.state.phase === 'awake') this.replace()
    }
    await orAborted(this.#switcher.underWay ?? Promise.resolve(), signal)
    const { state } = life
    if (state.phase === 'awake' && isSame(state.running.task, revision.next)) return
    life.crashes.tryNow()
    await orAborted(this.wakeUp(by), signal)
  }

  /** The current revision is another one now. */
  revise(): void {
    const { life } = this.#options
    const { state } = life
    if (state.phase === 'awake') {
      this.replace()
      return
    }
    void this.#switcher.cancel(SUPERSEDED)
    if (state.phase === 'waking') state.abort.abort(SUPERSEDED)
    else if (isFrozen(state.phase)) life.sleepBehind('updated')
    else if (state.phase === 'crashed') life.become(ASLEEP)
  }

  /** Runs the current revision in place of the one that runs. */
  replace(): void {
    this.#switcher.replace()
  }

  /** Resolves when a newer revision runs, or is known not to, as far as that is under way. */
  async settled(): Promise<void> {
    await this.#switcher.underWay
  }

  /** Ends what is being started beside the run that serves. */
  cancel(reason?: ShadowError): Promise<void> {
    return this.#switcher.cancel(reason)
  }

  /**
   * Stops the run that serves once its uses have ended, and wakes the instance in the same turn: requests that come wait for that. `next`: the
   * container that takes the volume over; left out: the volume is let go of, and taken anew.
   */
  async #restart(by: WokenBy, next: NextContainer | undefined): Promise<void> {
    const { life } = this.#options
    let isBegun = false
    const restart = async (fail: (error: unknown) => void): Promise<void> => {
      if (life.state.phase !== 'awake') return
      const before = next && (await life.handOver())
      if (before === undefined) await life.sleep('updated')
      const first =
        next && before
          ? (signal: AbortSignal): Wake => {
              isBegun = true
              return next.begin(before, signal)
            }
          : undefined
      await this.#wake(by, fail, first)
    }
    try {
      if (this.#wakes.isUnderWay) await this.wakeUp(by).catch(() => undefined) // one that ends just now
      await this.#wakes.join(fail => life.turn.take(() => restart(fail)))
    } finally {
      if (!isBegun) await next?.discard().catch(() => undefined) // the next comparison with the runtime removes it
    }
  }

  /** Wakes it in its turn. `fail` ends the wait at once; unwinding goes on behind it. `first`: the wake to begin with. */
  async #wake(
    by: WokenBy,
    fail: (error: unknown) => void,
    first?: ((signal: AbortSignal) => Wake) | undefined,
  ): Promise<void> {
    const { id, life, revision, parts } = this.#options
    let handed = first
    while (life.state.phase !== 'awake') {
      if (life.gone !== undefined) throw life.gone
      const begin = handed
      handed = undefined
      if (life.state.phase === 'suspended' && parts.room !== undefined) await this.#admitAgain(parts.room)
      if (isFrozen(life.state.phase)) await life.freezing.thaw(by)
      if (this.#isAwake) return this.#afterThaw()
      if (begin === undefined) await life.finishStopping()
      // The run that served has died while a newer one is being started: that one serves.
      await this.#switcher.join()
      if (this.#isAwake) return
      parts.mustWake?.(revision.next)
      const { state } = life
      if (state.phase === 'crashed') life.crashes.refuseLoop(id, state.problem, parts.clock.now())
      const abort = new AbortController()
      const from = performance.now()
      const task = revision.next
      life.events.waking(by, task.revision)
      const wake =
        begin?.(abort.signal) ?? beginWake(id, task, parts, abort.signal, { key: id, others: () => life.containers })
      this.#options.parked.taken(wake.undo)
      parts.onWoken?.(id, by.cause)
      life.become({ phase: 'waking', abort, wake })
      this.#reach(task, 'starting')
      try {
        const running = await wake.running
        this.#reach(task, 'ready')
        life.becomeAwake(running)
        const ms = Math.round(performance.now() - from)
        life.events.awake(ms, wake.steps, running.container.parked ? 'parked' : 'asleep')
        revision.ranWell(running.task)
        this.#reach(task, 'switched')
        if (!isSame(running.task, revision.next)) this.replace()
      } catch (error) {
        const goesOn = error === SUPERSEDED || this.#reject(task, error)
        const next = goesOn ? ASLEEP : this.#failed(task, asShadowError(error))
        life.become({ phase: 'stopping', undo: wake.undo, next })
        if (!goesOn) fail(error)
        await life.finishStopping()
        if (!goesOn) return
      }
    }
  }

  /** The memory of a suspended instance is not counted in full. When it goes on, it may need all of it. */
  async #admitAgain(room: Pick<Room, 'admit'>): Promise<void> {
    const { id, life, parts } = this.#options
    if (life.state.phase !== 'suspended') return
    const { task } = life.state.running
    using limit = deadline(
      parts.clock,
      toMs(task.startWithin),
      () => new ShadowError('no-memory', `${task.app} waited too long for memory`),
    )
    await room.admit(id, task, limit.signal)
  }

  /** A revision that came while it was frozen takes its place now. */
  #afterThaw(): void {
    const { life, revision } = this.#options
    if (life.state.phase === 'awake' && !isSame(life.state.running.task, revision.next)) this.replace()
  }

  get #isAwake(): boolean {
    return this.#options.life.state.phase === 'awake'
  }

  #reject(task: TaskDefinition, error: unknown): boolean {
    const { life, revision } = this.#options
    if (error === life.gone || error === life.calledOff || !revision.reject(task, error)) return false
    this.#options.parked.failed()
    this.#reach(task, 'rejected', asShadowError(error))
    return true
  }

  #failed(task: TaskDefinition, problem: ShadowError): Rest {
    const { life, parts } = this.#options
    if (problem === life.gone || problem === life.calledOff) return ASLEEP
    const ofTheApp = life.crashes.failedToWake(problem, parts.clock.now())
    if (ofTheApp) this.#options.parked.failed()
    if (!ofTheApp) this.#options.onSpared()
    life.events.wakeFailed(problem, life.crashes.count)
    this.#reach(task, ofTheApp ? 'rejected' : 'put-off', problem)
    return { phase: ofTheApp ? 'crashed' : 'asleep', problem }
  }

  /** The current revision has come so far. A wake of a revision that has served before is no news. */
  #reach(task: TaskDefinition, stage: Parameters<Rollout['reach']>[1], problem?: ShadowError): void {
    const { revision, rollout } = this.#options
    if (!isSame(task, revision.current) || (rollout.hasServed(task.revision) && problem === undefined)) return
    rollout.reach(task.revision, stage, { problem })
  }
}
