import { asShadowError, type ShadowError } from '../lib/errors.ts'
import { Mutex } from '../lib/mutex.ts'
import type { Notifier } from '../lib/notifier.ts'
import type { Unwind } from '../lib/unwind.ts'
import type { StopReason } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import { toMs } from '../model/quantities.ts'
import { Crashes } from './crashes.ts'
import { drainMs, drainOf } from './drain.ts'
import { EventRecorder } from './event-recorder.ts'
import { Holds } from './holds.ts'
import { Idle } from './idle.ts'
import type { InstanceParts } from './instance-parts.ts'
import { Liveness, wasStopped } from './liveness.ts'
import { diedAwake } from './postmortem.ts'
import { isStuck } from './refusals.ts'
import type { Running } from './running-container.ts'
import type { Exit, FoundContainer } from './runtime/runtime.ts'
import type { Phased, Rest, State } from './state.ts'
import { graceMs } from './teardown.ts'

export const ASLEEP: Rest = { phase: 'asleep', problem: null }

// An app that ends so soon after it was ready has probably gone on in the background.
const SOON_MS = 10_000

/**
 * The state of an instance, and every way in which it ends: sleep, death, a lost lease, what an earlier run left. Whoever wakes it or
 * puts it to sleep takes the turn first.
 */
export class Lifecycle {
  readonly turn = new Mutex()
  readonly holds: Holds
  readonly crashes = new Crashes()
  readonly events: EventRecorder
  /** Why it takes no more requests; undefined as long as it takes some. */
  gone: ShadowError | undefined
  readonly #id: InstanceId
  readonly #parts: InstanceParts
  readonly #changes: Notifier
  #state: State
  #exceeded: ShadowError | undefined
  #lastRun: { readonly run: string; readonly liveness: Liveness } | undefined

  constructor(id: InstanceId, parts: InstanceParts, changes: Notifier) {
    this.#id = id
    this.#parts = parts
    this.#changes = changes
    this.events = new EventRecorder({ instance: id, log: parts.log, journal: parts.journal, counters: parts.counters })
    this.holds = new Holds(left => {
      if (this.#state.phase === 'awake') this.#state.idle.left(left)
    })
    this.#state = { ...ASLEEP, since: parts.clock.now() }
  }

  get state(): State {
    return this.#state
  }

  /** The liveness of this run; undefined if it is not the last one. */
  liveness(run: string): Liveness | undefined {
    return this.#lastRun?.run === run ? this.#lastRun.liveness : undefined
  }

  become(next: Phased): void {
    this.#state = { ...next, since: this.#parts.clock.now() }
    if (next.phase === 'asleep' || next.phase === 'crashed') this.#parts.room?.leave(this.#id)
    this.#changes.notify()
  }

  /** A container is ready: requests may go to it, and its end is watched for. */
  becomeAwake(running: Running): void {
    const { runtime, clock, reopensWithinMs, reconcile, onLost } = this.#parts
    const idle = new Idle({
      clock,
      idleAfter: running.task.sleep.idleAfter,
      inUse: () => this.holds.inUse,
      onIdle: () => this.sleepBehind('idle'),
    })
    const liveness = new Liveness(running, {
      runtime,
      clock,
      reopensWithinMs,
      reconcile,
      bootsUntil: running.readyAt + toMs(running.task.startWithin),
      onMemoryKill: () => this.events.memoryKill(running.task, clock),
    })
    const run = running.container.id
    this.#lastRun = { run, liveness }
    const target = {
      address: running.address,
      run,
      webSockets: running.task.sleep.webSockets,
      refused: () => liveness.refused(),
      alive: () => liveness.alive(),
      badAnswer: (fault: string) => this.events.badAnswer(fault, clock),
    }
    this.become({ phase: 'awake', running, idle, target, liveness })
    running.lost?.addEventListener('abort', () => this.#leaseLost(running), { once: true })
    if (running.lost?.aborted) this.#leaseLost(running)
    running.watch.listen({ ended: exit => this.#died(running, exit), lost: onLost })
  }

  /** Puts it to sleep, once its requests in flight have ended or had their time; fails with `app-stuck`. The caller has the turn. */
  async sleep(why: StopReason): Promise<void> {
    if (this.#state.phase === 'awake') {
      const { running, idle } = this.#state
      const { clock, drain } = this.#parts
      // A request that came while this sleep waited for its turn has called the sleep off.
      if ((why === 'room' || why === 'drained') && this.holds.inUse) return
      if (why === 'idle' && (idle.ringsAt ?? Number.POSITIVE_INFINITY) > clock.now()) return
      this.#stop(this.#state, why, ASLEEP)
      const limit = drainMs(why, drainOf(running.task, drain))
      const cut = await this.holds.drain(limit, clock)
      this.events.drained(cut, limit)
      this.holds.goAway()
      this.crashes.forget()
      this.#endRun(running, null)
    }
    await this.finishStopping()
  }

  /** The same in its turn, for callers that do not wait for it. */
  sleepBehind(why: StopReason): void {
    this.turn.take(() => this.sleep(why)).catch(() => undefined) // it has ended in `stuck`, and that was logged
  }

  /** Ends an awake instance at once because of what it did to the machine: it becomes crashed, with this problem. */
  async exceed({ running }: Phased & { phase: 'awake' }, problem: ShadowError): Promise<void> {
    this.#exceeded = problem
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
  }

  /** Compares an awake instance with the containers that were found at the time `at`. */
  async compare(
    { running, liveness, since }: State & { phase: 'awake' },
    at: number,
    found: readonly FoundContainer[],
  ) {
    if (since >= at) return // it was woken after the inventory was taken
    if (!found.some(({ id }) => id === running.container.id)) return this.#died(running, undefined)
    await liveness.checkMemory()
    running.watch.again()
  }

  #stop({ running, idle, liveness }: Phased & { phase: 'awake' }, why: StopReason, next: Rest): void {
    liveness.end(wasStopped(running, why))
    idle[Symbol.dispose]()
    running.watch.end()
    this.become({ phase: 'stopping', undo: running.undo, next })
    this.events.stopping(why)
    this.holds.revoke()
  }

  #died(running: Running, exit: Exit | undefined): void {
    if (this.#state.phase !== 'awake' || this.#state.running !== running) return
    const exceeded = this.#exceeded
    this.#exceeded = undefined
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
    if (this.#state.phase === 'awake' && this.#state.running === running) {
      const problem = asShadowError(lost?.reason)
      this.#stop(this.#state, 'lease-lost', { phase: 'asleep', problem })
      this.holds.goAway()
      this.#endRun(running, problem)
      this.#finishBehind()
    }
    this.#parts.runtime.stop(container, graceMs(running.task, lost, this.#parts)).catch(() => undefined) // the unwinding reports a failure
  }

  #finishBehind(): void {
    this.turn.take(() => this.finishStopping()).catch(() => undefined) // it has ended in `stuck`, and that was logged
  }

  #endRun({ container, address }: Running, problem: ShadowError | null): void {
    this.#parts.onRunEnded({ run: container.id, address, problem: problem?.toProblem() ?? null })
  }
}
