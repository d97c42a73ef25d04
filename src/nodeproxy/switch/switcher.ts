import { asShadowError, isFailure, ShadowError } from '../../lib/errors.ts'
import { besideKey, type InstanceId, logFields } from '../../model/instance-id.ts'
import { sayMs } from '../../model/quantities.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { drainOf } from '../drain.ts'
import type { InstanceParts } from '../instance-parts.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { isSame, type RevisionChoice } from '../revision-choice.ts'
import type { Running } from '../running-container.ts'
import type { Wake, WokenBy } from '../state.ts'
import { beginWake } from '../wake.ts'
import { changeEgressInPlace } from './egress-in-place.ts'
import type { FormerRun } from './former-run.ts'
import { growInPlace } from './grow-in-place.ts'
import { canHandOver, makeNext, type NextContainer } from './next-container.ts'
import type { Rollout } from './rollout.ts'

type Options = {
  readonly id: InstanceId
  readonly parts: InstanceParts
  readonly life: Lifecycle
  readonly revision: RevisionChoice
  readonly rollout: Rollout
  /** Stops the run that serves once its uses have ended, and wakes the instance at once, by this container if it is given; requests wait meanwhile. */
  readonly restart: (by: WokenBy, next: NextContainer | undefined) => Promise<void>
}

/** A container of the newer revision that is being started beside the one that serves. */
type Coming = {
  readonly task: TaskDefinition
  readonly abort: AbortController
  readonly wake: Wake
  /** Resolves when all of it is undone. */
  undone: Promise<void> | undefined
}

const RETRY_AFTER_MS = 10_000
const SUPERSEDED = new ShadowError('changed', 'a newer revision came while this one was being started')
const CALLED_OFF = new ShadowError('changed', 'the app was put to sleep while a newer revision was being started')

/**
 * Brings an awake instance from the revision that it runs to the current one. First of all it is made sure, as far as that is known without
 * running it, that the new one can be run. Then an app without a volume has the new one started beside the old one: requests go to the new one
 * once it is ready, and the old one ends with its last use. An app with a volume is switched in place: its requests wait from the
 * last use of the old one until the new one is ready.
 */
export class Switcher {
  readonly #options: Options
  #replacing: Promise<void> | undefined
  #checks = new AbortController()
  #coming: Coming | undefined
  #retry: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Settles when the switch that is under way has ended; undefined if there is none. */
  get underWay(): Promise<void> | undefined {
    return this.#replacing
  }

  /** Runs the current revision in place of the one that runs, if it is another one. A switch to an earlier one that is under way is called off. */
  replace(): void {
    void this.cancel(SUPERSEDED)
    const before = this.#replacing ?? Promise.resolve()
    const replacing = before
      .then(() => this.#replaceInTurn())
      .catch(cause => this.#options.parts.log.error('switch failed', { ...logFields(this.#options.id), cause }))
      .finally(() => {
        if (this.#replacing !== replacing) return
        this.#replacing = undefined
        this.#options.rollout.changed() // whoever follows it may have waited for its end
      })
    this.#replacing = replacing
  }

  /** Calls off a switch that is under way, up to the moment in which the new run serves. Resolves when nothing of it is left. */
  async cancel(reason: ShadowError = CALLED_OFF): Promise<void> {
    this.#retry?.[Symbol.dispose]()
    this.#checks.abort(reason)
    this.#checks = new AbortController()
    const coming = this.#coming
    if (coming === undefined) return
    this.#coming = undefined
    coming.abort.abort(reason)
    await this.#discard(coming)
  }

  /** Waits for the container that is being started, and makes it the one that serves; resolves at once if there is none. The caller has the turn. */
  async join(): Promise<void> {
    const coming = this.#coming
    if (coming === undefined) return
    const running = await coming.wake.running.catch(() => undefined) // whoever started it handles the failure
    if (running !== undefined && this.#coming === coming) await this.#commit(coming, running)
    else await coming.undone
  }

  /** Up to one instance of an app at a time on each node. */
  async #replaceInTurn(): Promise<void> {
    const { id, parts, life, revision, rollout } = this.#options
    const task = this.#wanted()
    if (task === undefined) return
    const { signal } = this.#checks
    if (parts.rolls === undefined) return this.#replaceBy(task, signal)
    if (parts.rolls.isTaken(id))
      rollout.reach(task.revision, 'waiting', { why: 'other instances of the app come first' })
    await parts.rolls.take(id, async () => {
      if (task === revision.next && life.state.phase === 'awake') await this.#replaceBy(task, signal)
    })
  }

  /** The revision to switch to; undefined if the instance is not awake, or runs it already. */
  #wanted(): TaskDefinition | undefined {
    const { life, revision, parts } = this.#options
    const { next } = revision
    if (life.gone !== undefined || life.state.phase !== 'awake' || isSame(life.state.running.task, next))
      return undefined
    try {
      parts.mustWake?.(next)
    } catch {
      return undefined // the node is drained: the app goes on until it leaves, and the next node starts the new revision
    }
    return next
  }

  async #replaceBy(task: TaskDefinition, signal: AbortSignal): Promise<void> {
    const { life, parts, rollout } = this.#options
    if (await growInPlace(task, this.#options)) {
      rollout.reach(task.revision, 'switched', { why: 'only its volume was to become larger: it runs on' })
      return
    }
    if (await changeEgressInPlace(task, this.#options)) {
      rollout.reach(task.revision, 'switched', { why: 'only what it may reach was to change: it runs on' })
      return
    }
    const problem = await this.#check(task, signal)
    if (signal.aborted || life.state.phase !== 'awake') return
    if (problem !== undefined) return this.#failed(task, problem)
    const { task: before } = life.state.running
    if (task.volume !== undefined || before.volume !== undefined)
      return this.#inPlace(task, 'the volume is mounted by one container at a time', signal)
    await life.formers.makeRoom(drainOf(before, parts.drain).updateMs)
    if (signal.aborted || life.state.phase !== 'awake') return
    const refused = await this.#beside(task)
    if (refused !== undefined && !signal.aborted)
      await this.#inPlace(task, `there is no room for both: ${refused.message}`, signal)
  }

  async #check(task: TaskDefinition, signal: AbortSignal): Promise<unknown> {
    const { parts, rollout } = this.#options
    try {
      if ((await parts.runtime.findImage(task.image, signal)) === undefined) rollout.reach(task.revision, 'pulling')
      await parts.runtime.ensureImage(task.image, signal, task)
      rollout.reach(task.revision, 'checking')
      await parts.runtime.check(task, signal)
      return undefined
    } catch (error) {
      return error
    }
  }

  async #inPlace(task: TaskDefinition, why: string, signal: AbortSignal): Promise<void> {
    const { life, rollout, restart } = this.#options
    const next = await this.#makeNext(task, signal)
    if (signal.aborted || life.state.phase !== 'awake') {
      await next?.discard().catch(() => undefined) // the next comparison with the runtime removes it
      return
    }
    rollout.reach(task.revision, 'holding', { why })
    life.events.inPlace(task.revision, why)
    await restart({ says: `release ${task.revision}`, cause: 'update' }, next).catch(() => undefined) // the state of the instance has the failure
  }

  /** The container that takes over the volume of the one that runs; undefined if the volume has to be let go of. */
  async #makeNext(task: TaskDefinition, signal: AbortSignal): Promise<NextContainer | undefined> {
    const { id, parts, life } = this.#options
    if (life.state.phase !== 'awake' || !canHandOver(id, life.state.running.task, task)) return undefined
    return makeNext(id, task, parts, signal).catch(() => undefined) // the wake makes it again, and has the failure
  }

  /** Starts it beside the one that runs; returns why there is no room for it, if there is none. */
  async #beside(task: TaskDefinition): Promise<ShadowError | undefined> {
    const { id, parts, life, rollout } = this.#options
    const key = besideKey(id, task.revision)
    const abort = new AbortController()
    rollout.reach(task.revision, 'starting')
    life.events.starting()
    const wake = beginWake(id, task, parts, abort.signal, { key, others: () => life.containers })
    const coming: Coming = { task, abort, wake, undone: undefined }
    this.#coming = coming
    try {
      const running = await wake.running
      await life.turn.take(async () => {
        if (this.#coming === coming) await this.#commit(coming, running)
      })
      await coming.undone
      return undefined
    } catch (error) {
      await this.#discard(coming)
      if (this.#coming !== coming) return undefined // it was called off
      this.#coming = undefined
      if (isFailure(error, 'no-memory')) return error
      this.#failed(task, error)
      return undefined
    }
  }

  /** It is ready: it serves from now on, also where the earlier one has died meanwhile. The caller has the turn. */
  async #commit(coming: Coming, running: Running): Promise<void> {
    const { id, parts, life, revision, rollout } = this.#options
    this.#coming = undefined
    await life.finishStopping().catch(() => undefined) // then it is stuck
    const { phase } = life.state
    if (life.gone !== undefined || phase === 'stuck' || phase === 'stopping') return this.#discard(coming)
    rollout.reach(coming.task.revision, 'ready')
    const ms = Math.round(Object.values(coming.wake.steps).reduce((sum, step) => sum + step, 0))
    revision.ranWell(running.task)
    if (life.state.phase === 'awake') {
      const former = life.switchTo(running)
      this.#letGo(former, running, ms)
    } else {
      parts.room?.rename(besideKey(id, running.task.revision), id)
      life.becomeAwake(running)
      life.events.awake(ms, coming.wake.steps)
      rollout.reach(running.task.revision, 'switched')
    }
    if (!isSame(running.task, revision.next)) this.replace()
  }

  /** Lets the earlier release drain, or serve its sessions on. */
  #letGo(former: FormerRun, { task }: Running, ms: number): void {
    const { parts, life, rollout } = this.#options
    rollout.reach(task.revision, 'switched')
    const { updateMs } = drainOf(former.running.task, parts.drain)
    const stays = task.deploy?.sessions === 'stay'
    const says = stays
      ? 'keeps its sessions'
      : former.holds.counting === 0
        ? 'ends'
        : `lets its uses end (${former.holds.holding} under way, up to ${sayMs(updateMs)}: --drain)`
    life.events.switched(task.revision, ms, { revision: former.revision, says })
    if (stays) {
      former.stay()
      return
    }
    if (former.holds.counting > 0)
      rollout.reach(task.revision, 'draining', { why: `release ${former.revision} ${says}` })
    void former.drain(updateMs)
  }

  #failed(task: TaskDefinition, error: unknown): void {
    const { parts, life, revision, rollout } = this.#options
    const problem = asShadowError(error)
    const serves = life.state.phase === 'awake' ? life.state.running.task : undefined
    if (revision.reject(task, problem, serves)) {
      rollout.reach(task.revision, 'rejected', { problem })
      return
    }
    if (!isSame(task, revision.next) || life.gone !== undefined) return
    rollout.reach(task.revision, 'put-off', { problem })
    life.events.switchPutOff(task.revision, problem)
    this.#retry = parts.clock.after(RETRY_AFTER_MS, () => this.replace())
  }

  /** Undoes it, once no step of it is under way any more. */
  #discard(coming: Coming): Promise<void> {
    coming.undone ??= this.#undo(coming)
    return coming.undone
  }

  async #undo({ task, wake }: Coming): Promise<void> {
    const { id, parts, life } = this.#options
    await wake.running.then(
      ({ watch }) => watch.end(),
      () => undefined, // whoever started it handles the failure
    )
    await wake.undo.unwind().catch(cause => life.events.formerStuck(task.revision, cause)) // the next comparison with the runtime removes it
    parts.room?.leave(besideKey(id, task.revision))
    life.keepCompanions()
  }
}
