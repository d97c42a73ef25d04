import { asShadowError } from '../lib/errors.ts'
import { Mutex } from '../lib/mutex.ts'
import { isFrozen, type KeepTier, type StopReason } from '../model/instance.ts'
import { appOf, type InstanceId, isPlain } from '../model/instance-id.ts'
import { type Duration, toMs } from '../model/quantities.ts'
import { idleAfterOf } from '../model/scale.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { EventRecorder } from './event-recorder.ts'
import type { Holds } from './holds.ts'
import type { InstanceParts } from './instance-parts.ts'
import { isReady, type Phased, type Ready, type State, type WokenBy } from './state.ts'
import { volumeOf } from './teardown.ts'

/** The instance that is frozen and thawed. */
type Life = {
  readonly state: State
  readonly holds: Pick<Holds, 'revoke' | 'users'>
  readonly inUse: boolean
  readonly formers: { readonly all: readonly unknown[] }
  readonly events: EventRecorder
  become(next: Phased): void
}

type Parts = Pick<
  InstanceParts,
  | 'runtime'
  | 'filesystem'
  | 'onRunEnded'
  | 'freezeAfter'
  | 'suspendAfter'
  | 'keep'
  | 'room'
  | 'idleOf'
  | 'endsBySleep'
  | 'clock'
  | 'sleepDryRun'
>

// A runtime that could not freeze it is asked again after this time.
const AGAIN_AFTER_MS = 60_000

/**
 * Freezes an instance that nobody uses: its processes stop where they are, and use no processor; memory, connections and volume stay. A
 * request thaws it, which takes a millisecond. Its memory may go to swap meanwhile. The caller of `freeze` and `thaw` has the turn of the instance.
 */
export class Freezing {
  readonly #id: InstanceId
  readonly #life: Life
  readonly #parts: Parts
  #thaws = 0
  /** Whether its memory could not be moved since it was frozen last. */
  #hasNoSwap = false
  /** Memory is moved once at a time: the kernel may still be moving it though the instance went on meanwhile, and was frozen again. */
  readonly #moves = new Mutex()
  /** The container that the runtime could not freeze when it was last asked. */
  #unfreezable: string | undefined

  constructor(id: InstanceId, life: Life, parts: Parts) {
    this.#id = id
    this.#life = life
    this.#parts = parts
  }

  /**
   * After how long without use its next step down before its sleep comes; undefined: there is none. What others run on is not frozen: one of several
   * instances, an app that uses others or that others use, and one whose earlier releases go on.
   */
  after(task: TaskDefinition): Duration | undefined {
    const { freezeAfter, suspendAfter, idleOf } = this.#parts
    const { phase } = this.#life.state
    if (phase === 'suspended' || this.#hasNoSwap || !this.#canBe(task) || this.#isDryRun(task)) return undefined
    const keep = this.keepOf(task)
    const wanted =
      phase === 'frozen' ? (task.sleep.suspendAfter ?? suspendAfter) : (task.sleep.freezeAfter ?? freezeAfter)
    const idleAfter = idleAfterOf(this.#id, idleOf?.(task.app) ?? task.sleep.idleAfter)
    if (keep === 'asleep' && this.#endsBySleep && task.sleep.freezeAfter === undefined) return undefined
    // In place of the sleep that does not come.
    if (keep !== 'asleep' && phase !== 'frozen') return soonest(wanted, idleAfter)
    if (keep === 'frozen') return undefined
    if (keep === 'suspended') return soonest(wanted) ?? soonest(idleAfter)
    if (wanted === undefined || wanted === 'never') return undefined
    return idleAfter !== 'never' && toMs(wanted) >= toMs(idleAfter) ? undefined : wanted
  }

  /** The lowest tier that the instance goes to for want of use. */
  keepOf({ sleep, ...task }: TaskDefinition): KeepTier {
    const { keep = 'asleep' } = this.#parts
    const wanted = sleep.keep ?? (this.#endsBySleep ? 'asleep' : keep)
    const mayStay = !this.#cannotFreeze && this.#canBe(task) && !this.#isDryRun({ sleep })
    return mayStay ? wanted : 'asleep'
  }

  /** Whether its memory can go to swap, as far as that is known. */
  canSuspend(task: TaskDefinition): boolean {
    return !this.#hasNoSwap && !this.#cannotFreeze && this.#canBe(task) && !this.#isDryRun(task)
  }

  get #cannotFreeze(): boolean {
    const { state } = this.#life
    return this.#unfreezable !== undefined && isReady(state) && state.running.container.id === this.#unfreezable
  }

  #isDryRun({ sleep }: Pick<TaskDefinition, 'sleep'>): boolean {
    return sleep.dryRun ?? this.#parts.sleepDryRun === true
  }

  get #endsBySleep(): boolean {
    return this.#parts.endsBySleep?.(appOf(this.#id)) === true
  }

  #canBe({ uses }: Pick<TaskDefinition, 'uses'>): boolean {
    const { formers, holds } = this.#life
    return isPlain(this.#id) && uses === undefined && formers.all.length === 0 && holds.users.length === 0
  }

  /** Takes the next step down because nobody uses the instance, behind the caller. */
  stepDown(turn: Mutex): void {
    const done = this.#life.state.phase === 'frozen' ? this.suspend('idle') : turn.take(() => this.freeze('idle'))
    done.catch(() => undefined) // that was logged
  }

  /** Freezes it, unless somebody uses it. `why`: for its log. Fails where the runtime does not do it, and then it serves on. */
  async freeze(why: StopReason): Promise<void> {
    const before = this.#life.state
    if (before.phase !== 'awake' || this.#life.inUse || !this.#canBe(before.running.task)) return
    const { runtime, onRunEnded } = this.#parts
    const { running, target } = before
    this.#hasNoSwap = false
    this.#unfreezable = undefined
    // From here on a request waits for its turn, and thaws it.
    this.#life.become({ ...before, phase: 'frozen' })
    this.#life.holds.revoke()
    // Connections that nobody uses are closed on our side: the app would close them itself as soon as it goes on, under the next request.
    onRunEnded({ run: target.run, address: target.address, problem: null })
    try {
      await runtime.freeze(running.container)
    } catch (error) {
      this.#unfreezable = running.container.id
      if (!this.#goesOn()) return // it has ended meanwhile
      before.idle.again(AGAIN_AFTER_MS)
      this.#life.events.notFrozen('frozen', asShadowError(error))
      throw error
    }
    if (this.#life.state.phase !== 'frozen') return // it has ended meanwhile
    before.idle.setAnew()
    this.#life.events.frozen('frozen', why)
  }

  /**
   * Moves the memory of a frozen instance to swap, beside its turns: a request that comes meanwhile does not wait for that. Fails where it cannot be
   * done, and then the instance stays frozen.
   */
  async suspend(why: StopReason): Promise<void> {
    const before = this.#life.state
    if (before.phase === 'frozen') await this.#moves.take(() => this.#suspend(before, why))
  }

  async #suspend(before: Ready, why: StopReason): Promise<void> {
    const { runtime, filesystem, room } = this.#parts
    const { running, idle } = before
    const volume = volumeOf(this.#id, running.task)
    const isStill = (): boolean => this.#life.state === before
    if (!isStill()) return // another call has suspended it, or it went on
    let left = 0
    try {
      // What it has written survives a crash of the machine, in which its memory is lost.
      if (volume !== undefined) await filesystem.sync(volume.id)
      if (isStill()) await runtime.swapOut(running.container)
      if (room !== undefined) left = (await runtime.load(running.container).catch(() => undefined))?.memoryBytes ?? 0
    } catch (error) {
      if (!isStill()) return
      this.#hasNoSwap = true
      idle.setAnew()
      this.#life.events.notFrozen('suspended', asShadowError(error))
      throw error
    }
    if (!isStill()) return // it goes on, or has ended
    this.#life.become({ ...before, phase: 'suspended' })
    room?.shrink(this.#id, left)
    idle.setAnew()
    this.#life.events.frozen('suspended', why)
  }

  /** It was taken over with its processes frozen. Whether its memory is in swap is not known, and does not matter to the request that lets it go on. */
  isAlready(): void {
    const { state } = this.#life
    if (state.phase !== 'awake') return
    this.#life.become({ ...state, phase: 'frozen' })
    state.idle.setAnew()
  }

  /** Lets a frozen instance go on. */
  async thaw(by: WokenBy): Promise<void> {
    const { state } = this.#life
    if (state.phase !== 'frozen' && state.phase !== 'suspended') return
    const from = performance.now()
    try {
      await this.#parts.runtime.thaw(state.running.container)
    } catch (error) {
      if (isFrozen(this.#life.state.phase)) throw error
      return // it has ended meanwhile, which is why there was nothing to thaw
    }
    if (!this.#goesOn()) return
    state.idle.left({ putsOff: true })
    this.#life.events.thawed(by, Math.round((performance.now() - from) * 10) / 10, state.phase)
  }

  /** It serves again, as another run: no connection of before is used again. */
  #goesOn(): boolean {
    const { state } = this.#life
    if (state.phase !== 'frozen' && state.phase !== 'suspended') return false // it has ended meanwhile
    this.#thaws += 1
    const run = `${state.running.container.id}~${this.#thaws}`
    this.#life.become({ ...state, phase: 'awake', target: { ...state.target, run } })
    state.idle.setAnew()
    return true
  }
}

/** The container of a run. */
export const containerOfRun = (run: string): string => run.split('~', 1)[0] ?? run

const soonest = (...all: readonly (Duration | 'never' | undefined)[]): Duration | undefined =>
  all.flatMap(one => (one === undefined || one === 'never' ? [] : [one])).toSorted((a, b) => toMs(a) - toMs(b))[0]
