import { orAborted } from '../lib/abort.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import type { ShadowError } from '../lib/errors.ts'
import { Notifier } from '../lib/notifier.ts'
import type { Unwind } from '../lib/unwind.ts'
import type { Held, HoldRequest, InstanceView, StopReason } from '../model/instance.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'
import type { VolumeId } from '../model/names.ts'
import { type PinnedImage, TASK_DEFAULTS, type TaskDefinition } from '../model/task.ts'
import { drainOf } from './drain.ts'
import type { InstanceTarget } from './holds.ts'
import type { InstanceParts } from './instance-parts.ts'
import { viewOf } from './instance-view.ts'
import { ASLEEP, Lifecycle } from './lifecycle.ts'
import type { Liveness } from './liveness.ts'
import { pinnedImageOf } from './pinned-image.ts'
import { isAsleep, isWaking, usesVolume } from './refusals.ts'
import { RevisionChoice } from './revision-choice.ts'
import type { Running } from './running-container.ts'
import type { FoundContainer } from './runtime/runtime.ts'
import type { State } from './state.ts'
import { foundOf, volumeOf } from './teardown.ts'
import { Wait } from './wait.ts'
import { WakeRate } from './wake-rate.ts'
import { Waker } from './waker.ts'

/** The image that a definition names here, and the one that the current revision ran. */
export type Checked = { readonly image: PinnedImage | null; readonly ran: PinnedImage | null }

/** One instance of an app on this node, from asleep to awake and back. Its wakes and its sleeps take turns. A hold keeps it awake. */
export class Instance {
  readonly id: InstanceId
  readonly #parts: InstanceParts
  readonly #life: Lifecycle
  readonly #revision: RevisionChoice
  readonly #wakeRate = new WakeRate()
  readonly #changes = new Notifier()
  readonly #waker: Waker

  constructor(id: InstanceId, task: TaskDefinition, parts: InstanceParts) {
    this.id = id
    this.#parts = {
      ...parts,
      onStep: (...step) => {
        parts.onStep(...step)
        this.#changes.notify()
      },
    }
    this.#life = new Lifecycle(id, this.#parts, this.#changes)
    this.#revision = new RevisionChoice(task, {
      id,
      revisions: parts.revisions,
      onRejected: (...rejected) => this.#life.events.rejected(...rejected),
      onChange: () => this.#changes.notify(),
    })
    this.#waker = new Waker({ id, parts: this.#parts, life: this.#life, revision: this.#revision })
  }

  get phase(): State['phase'] {
    return this.#life.state.phase
  }

  get holding(): number {
    return this.#life.holds.holding
  }

  get waiting(): number {
    return this.#life.holds.waiting
  }

  get task(): TaskDefinition {
    return this.#revision.current
  }

  /** The volume that it may have attached; undefined for one of several instances. */
  get volume(): VolumeId | undefined {
    return volumeOf(this.id, this.task)?.id
  }

  /** Since when an awake instance is not in use; undefined if it is in use, is not awake, or may not be put to sleep. */
  get idleSince(): number | undefined {
    const { state } = this.#life
    return state.phase === 'awake' ? state.idle.since : undefined
  }

  /** The liveness of a run of the app; undefined if that is not the last run. */
  liveness(run: string): Liveness | undefined {
    return this.#life.liveness(run)
  }

  /** Keeps the instance awake until the hold is disposed of, waking it first if need be; waiting counts as use. Returns at once if it is awake. */
  hold(request: HoldRequest, cancellation: Cancellation): Held | Promise<Held> {
    const now = this.#target()
    return now === undefined ? this.#holdOnceAwake(request, cancellation.signal) : this.#hold(now, request)
  }

  async #holdOnceAwake(request: HoldRequest, signal: AbortSignal): Promise<Held> {
    const { sleep } = this.task
    const isIgnored = request.kind === 'websocket' && sleep.webSockets === 'ignore'
    if (!request.mayWake || (isIgnored && !this.#waker.isUnderWay)) throw this.#notAwake()
    const { queue, clock } = this.#parts
    if (this.phase === 'asleep' && !this.#waker.isUnderWay)
      this.#wakeRate.take(this.id, sleep.wakes ?? TASK_DEFAULTS.wakes, clock.now())
    using wait = new Wait(request, signal, { instance: this.id, queue, holds: this.#life.holds, clock })
    for (;;) {
      await orAborted(this.#waker.wakeUp(request.what), wait.signal)
      // Between its wake and this line it may have ended, or begun to stop for a new revision: then it is woken again.
      const target = this.#target()
      if (target !== undefined) return this.#hold(target, request, wait.took(this.#life.events.facts.lastWake?.steps))
    }
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
  wake(by: string, signal: AbortSignal): Promise<void> {
    return this.#waker.wakeByHand(by, signal)
  }

  /**
   * Takes a new definition. An awake instance goes on until it is known that the new one can be run; then it stops when its requests
   * in flight have ended, and runs the new one from its next wake on.
   */
  define(task: TaskDefinition): void {
    if (!this.#revision.define(task)) return
    this.#life.crashes.forget()
    this.#waker.revise()
  }

  /** Checks whether a definition can run, if the instance is awake and would be stopped for it. Otherwise only finds the image that it names. */
  async check(task: TaskDefinition, signal: AbortSignal): Promise<Checked> {
    const { runtime } = this.#parts
    const serves = this.phase === 'awake' || this.phase === 'waking'
    const image = await (serves ? runtime.check(task, signal) : runtime.findImage(task.image, signal))
    return { image: pinnedImageOf(image), ran: this.#revision.ranImage ?? null }
  }

  /** Puts it to sleep, once its requests in flight have ended or had their time; fails with `app-stuck`. */
  sleep(why: StopReason): Promise<void> {
    return this.#life.turn.take(() => this.#life.sleep(why))
  }

  /** Puts it to sleep, and runs the action before anything can wake it. */
  whileAsleep<T>(action: () => Promise<T>): Promise<T> {
    return this.#life.turn.take(async () => {
      await this.#life.sleep('asked')
      return action()
    })
  }

  /** Ends it at once, for what it did to the machine: it counts as crashed, and the problem says why. */
  async exceed(problem: ShadowError): Promise<void> {
    const { state } = this.#life
    if (state.phase !== 'waking' && state.phase !== 'awake') return
    const { journal, runtime } = this.#parts
    journal(this.id, problem.message)
    if (state.phase === 'awake') return this.#life.exceed(state, problem)
    state.abort.abort(problem)
    for (const container of await foundOf(runtime, this.id)) await runtime.stop(container, 0)
  }

  /** Takes over a container that an earlier run of this node left in good order. */
  adopt(running: Running): void {
    this.#life.events.waking('an earlier run of this node')
    this.#parts.room?.adopt(this.id, running.task)
    this.#life.becomeAwake(running)
    if (running.task.revision !== this.#revision.next.revision) this.#waker.replace()
  }

  /** Takes over what an earlier run left half-way, and what could not be undone of it. */
  async takeUp(undo: Unwind): Promise<void> {
    this.#life.become({ phase: 'stopping', undo, next: ASLEEP })
    this.#life.events.leftHalfWay()
    await this.#life.turn.take(() => this.#life.finishStopping())
  }

  /** Compares it with what the runtime had of it at the time `at`, and mends what differs; `strays` undoes what is left over. */
  reconcile(at: number, found: readonly FoundContainer[], strays: () => Unwind | undefined): Promise<void> {
    return this.#life.turn.take(async () => {
      const { state } = this.#life
      if (state.phase === 'stuck' || state.phase === 'stopping') return this.#life.finishStopping()
      if (state.phase === 'awake') return this.#life.compare(state, at, found)
      const undo = strays()
      if (undo !== undefined) await this.#life.undoStrays(undo)
    })
  }

  /** Takes no more; `sleep` puts it to sleep too, otherwise what is awake goes on running and a wake under way is undone. */
  async close(gone: ShadowError, why: 'removed' | 'shutdown', options: { sleep: boolean }): Promise<void> {
    this.#life.gone = gone
    const before = this.#life.state
    if (before.phase === 'waking') before.abort.abort(gone)
    try {
      await this.#life.turn.take(async () => {
        if (options.sleep) return this.#life.sleep(why)
        const { state } = this.#life
        if (state.phase !== 'awake') return
        // Nobody will renew its lease, which must not end under a container that writes.
        if (state.running.lost !== undefined) return this.#life.sleep(why)
        state.idle[Symbol.dispose]()
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
      rejected: this.#revision.rejected,
      ...events.facts,
    }
    return { ...viewOf(state, facts, this.#parts.clock), drain: drainOf(this.task, this.#parts.drain) }
  }

  /** The instance now and at each change, until the signal aborts; a slow reader misses what was between. */
  follow(signal: AbortSignal): AsyncIterable<InstanceView> {
    return this.#changes.follow(() => this.view(), signal)
  }
}
