import type { Held, HoldRequest, StopReason } from '../../model/instance.ts'
import type { RunKey } from '../../model/instance-id.ts'
import { type Duration, duration } from '../../model/quantities.ts'
import { TASK_DEFAULTS } from '../../model/task.ts'
import type { EventRecorder } from '../event-recorder.ts'
import type { Holds, InstanceTarget, Left } from '../holds.ts'
import { Idle } from '../idle.ts'
import type { InstanceParts } from '../instance-parts.ts'
import { type Liveness, wasStopped } from '../liveness.ts'
import { diedAwake } from '../postmortem.ts'
import type { Running } from '../running-container.ts'
import type { Exit, FoundContainer } from '../runtime/runtime.ts'

type Parts = Pick<InstanceParts, 'clock' | 'room' | 'onRunEnded' | 'onLost'>

type Options = {
  readonly running: Running
  readonly target: InstanceTarget
  readonly liveness: Liveness
  readonly holds: Holds
  /** Under which its memory is counted. */
  readonly key: RunKey
  readonly parts: Parts
  readonly events: EventRecorder
  /** A use of it has ended. */
  readonly onLeave: (left: Left) => void
  /** It has ended, and nothing of it is left. */
  readonly onEnded: () => void
}

/**
 * The run of an earlier release, beside the one that takes new visitors. It either drains: its uses may end within a limit, and it takes no
 * new ones. Or it stays: it serves its own sessions on, until nobody has used it for the idle time of its app.
 */
export class FormerRun {
  readonly running: Running
  readonly target: InstanceTarget
  readonly liveness: Liveness
  readonly holds: Holds
  readonly since: number
  readonly #options: Options
  readonly #settled = Promise.withResolvers<void>()
  #idle: Idle | undefined
  #drainsUntil: number | undefined
  #withinMs = 0
  #alarm: Disposable | undefined
  #hasStopped = false
  #undoing: Promise<void> | undefined

  constructor(options: Options) {
    const { running, target, liveness, holds, parts } = options
    this.#options = options
    this.running = running
    this.target = target
    this.liveness = liveness
    this.holds = holds
    this.since = parts.clock.now()
    holds.onLeave = left => this.#left(left)
    running.watch.listen({ ended: exit => this.#died(exit), lost: parts.onLost })
  }

  get revision(): number {
    return this.running.task.revision
  }

  /** Whether it takes the requests of its own sessions. */
  get stays(): boolean {
    return this.#idle !== undefined
  }

  get inUse(): boolean {
    return this.holds.inUse
  }

  /** When it is stopped, whatever uses it; undefined while it stays. */
  get drainsUntil(): number | undefined {
    return this.#drainsUntil
  }

  /** When it ends if nobody uses it; undefined if somebody does, or it drains. */
  get endsAt(): number | undefined {
    return this.#idle?.ringsAt
  }

  /** Whether it takes a request; one that drains only takes those that name it. */
  takes(isStrict: boolean): boolean {
    return !this.#hasStopped && (this.stays || isStrict)
  }

  hold(request: HoldRequest): Held {
    return this.holds.enter(request, this.target, this.#options.parts.clock.now())
  }

  /** Lets it serve its own sessions on, until nobody has used it for so long. */
  stay(): void {
    // Grants are for all visitors, and new ones go to the newer release.
    this.holds.revoke()
    const { clock } = this.#options.parts
    const { idleAfter } = this.running.task.sleep
    this.#idle = new Idle({
      clock,
      idleAfter: () => (idleAfter === 'never' ? NEVER_ENDS_AFTER : idleAfter),
      inUse: () => this.holds.inUse,
      keptUntil: () => 0,
      onIdle: () => void this.drain(0),
    })
  }

  /** Lets its uses end, for at most so long, and then stops it; of several limits, the nearest counts. Resolves when it is gone, or could not be removed. */
  drain(withinMs: number, why: StopReason = 'updated'): Promise<void> {
    const { clock } = this.#options.parts
    const until = clock.now() + withinMs
    this.#idle?.[Symbol.dispose]()
    this.#idle = undefined
    if (this.#hasStopped) void this.#undo()
    else if (this.#drainsUntil === undefined || until < this.#drainsUntil) {
      this.#drainsUntil = until
      this.#withinMs = withinMs
      this.#alarm?.[Symbol.dispose]()
      this.#alarm = clock.after(withinMs, () => this.#stop(why))
      this.holds.revoke()
      if (!this.holds.inUse || withinMs === 0) this.#stop(why)
    }
    return this.#undoing ?? this.#settled.promise
  }

  /** Whether its container is among those that were found; if it is not, it has ended. */
  compare(found: readonly FoundContainer[]): void {
    const there = found.find(({ id }) => id === this.running.container.id)
    if (this.#hasStopped) void this.#undo()
    else if (there !== undefined) this.running.watch.compare(there.running)
    else this.#died(undefined)
  }

  /** Lets it run on, without anybody who watches it: this node ends, and its next start finds it. */
  letGo(): void {
    this.#idle?.[Symbol.dispose]()
    this.#alarm?.[Symbol.dispose]()
    this.running.watch.end()
  }

  #left(left: Left): void {
    this.#idle?.left(left)
    this.#options.onLeave(left)
    if (this.#drainsUntil !== undefined && !this.holds.inUse) this.#stop('updated')
  }

  #stop(why: StopReason): void {
    if (this.#hasStopped) return
    const { events } = this.#options
    const cut = this.holds.counting
    this.#end(null, why)
    events.formerEnded(this.revision, cut, this.#withinMs)
    this.holds.goAway()
    void this.#undo()
  }

  #died(exit: Exit | undefined): void {
    if (this.#hasStopped) return
    const problem = diedAwake(this.running.task, exit)
    this.liveness.end(problem)
    this.#end(problem, 'died')
    this.#options.events.formerDied(this.revision, problem)
    void this.#undo()
  }

  #end(problem: Parameters<Liveness['end']>[0] | null, why: StopReason): void {
    const { container, address, watch } = this.running
    const { run } = this.target
    this.#hasStopped = true
    this.#alarm?.[Symbol.dispose]()
    this.#idle?.[Symbol.dispose]()
    this.liveness.end(problem ?? wasStopped(this.running, why))
    watch.end()
    this.holds.revoke()
    this.#options.parts.onRunEnded({ run, container: container.id, address, problem: problem?.toProblem() ?? null })
  }

  /** Removes its container. If that fails, each later comparison with the runtime tries it again. */
  #undo(): Promise<void> {
    this.#undoing ??= this.running.undo.unwind().then(
      () => {
        this.#options.parts.room?.leave(this.#options.key)
        this.#options.onEnded()
        this.#settled.resolve()
      },
      cause => {
        this.#undoing = undefined
        this.#options.events.formerStuck(this.revision, cause)
        this.#settled.resolve()
      },
    )
    return this.#undoing
  }
}

/** An app that never sleeps still lets its earlier releases end. */
const NEVER_ENDS_AFTER: Duration = duration(TASK_DEFAULTS.idleAfter)
