import { orAborted } from '../lib/abort.ts'
import { asShadowError, ShadowError } from '../lib/errors.ts'
import { Singleflight } from '../lib/singleflight.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { InstanceParts } from './instance-parts.ts'
import { ASLEEP, type Lifecycle } from './lifecycle.ts'
import { isSame, type RevisionChoice } from './revision-choice.ts'
import type { Rest } from './state.ts'
import { beginWake } from './wake.ts'

type Options = {
  readonly id: InstanceId
  readonly parts: InstanceParts
  readonly life: Lifecycle
  readonly revision: RevisionChoice
}

const SUPERSEDED = new ShadowError('changed', 'a newer revision came while the app was being woken')

/** Makes an instance run the revision that it should run: wakes it, one wake at a time, and replaces a revision that runs by a newer one. */
export class Waker {
  readonly #options: Options
  readonly #wakes = new Singleflight()
  /** A check whether a new revision can be run, while the old one serves. */
  #replacing: Promise<void> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  get isUnderWay(): boolean {
    return this.#wakes.isUnderWay
  }

  /** Wakes it, or joins the wake that is under way; resolves when it is ready. */
  wakeUp(by: string): Promise<void> {
    return this.#wakes.join(fail => this.#options.life.turn.take(() => this.#wake(by, fail)))
  }

  /** The same because a person asked: a revision that was rejected is tried again, and a crash loop is not waited for. */
  async wakeByHand(by: string, signal: AbortSignal): Promise<void> {
    const { life, revision } = this.#options
    if (this.#replacing === undefined && revision.rejected !== null) {
      revision.tryAgain()
      if (life.state.phase === 'awake') this.replace()
    }
    await orAborted(this.#replacing ?? Promise.resolve(), signal)
    const { state } = life
    if (state.phase === 'awake' && isSame(state.running.task, revision.next)) return
    life.crashes.tryNow()
    await orAborted(this.wakeUp(by), signal)
  }

  /** The current revision is another one now. */
  revise(): void {
    const { life } = this.#options
    const { state } = life
    if (state.phase === 'waking') state.abort.abort(SUPERSEDED)
    else if (state.phase === 'awake') this.replace()
    else if (state.phase === 'crashed') life.become(ASLEEP)
  }

  /** Checks whether the current revision can be run, and stops the one that runs if so; one that cannot be run is rejected. */
  replace(): void {
    const { life, revision, parts } = this.#options
    const task = revision.current
    const check = async (): Promise<void> => {
      const problem = await parts.runtime.check(task, new AbortController().signal).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (task !== revision.current || life.state.phase !== 'awake') return
      if (problem === undefined || !this.#reject(task, problem)) life.sleepBehind('updated')
    }
    const replacing = check().finally(() => {
      if (this.#replacing === replacing) this.#replacing = undefined
    })
    this.#replacing = replacing
  }

  /** Wakes it in its turn. `fail` ends the wait at once; unwinding goes on behind it. */
  async #wake(by: string, fail: (error: unknown) => void): Promise<void> {
    const { id, life, revision, parts } = this.#options
    while (life.state.phase !== 'awake') {
      if (life.gone !== undefined) throw life.gone
      await life.finishStopping()
      parts.mustWake?.(revision.next)
      const { state } = life
      if (state.phase === 'crashed') life.crashes.refuseLoop(id, state.problem, parts.clock.now())
      const abort = new AbortController()
      const from = performance.now()
      const task = revision.next
      const wake = beginWake(id, task, parts, abort.signal)
      life.events.waking(by)
      life.become({ phase: 'waking', abort, wake })
      try {
        const running = await wake.running
        life.becomeAwake(running)
        life.events.awake(Math.round(performance.now() - from), wake.steps)
        revision.ranWell(running.task)
        if (!isSame(running.task, revision.next)) this.replace()
      } catch (error) {
        const goesOn = error === SUPERSEDED || this.#reject(task, error)
        const next = goesOn ? ASLEEP : this.#failed(asShadowError(error))
        life.become({ phase: 'stopping', undo: wake.undo, next })
        if (!goesOn) fail(error)
        await life.finishStopping()
        if (!goesOn) return
      }
    }
  }

  #reject(task: TaskDefinition, problem: unknown): boolean {
    const { life, revision } = this.#options
    return problem !== life.gone && revision.reject(task, problem)
  }

  #failed(problem: ShadowError): Rest {
    const { life, parts } = this.#options
    if (problem === life.gone) return ASLEEP
    const ofTheApp = life.crashes.failedToWake(problem, parts.clock.now())
    life.events.wakeFailed(problem, life.crashes.count)
    return { phase: ofTheApp ? 'crashed' : 'asleep', problem }
  }
}
