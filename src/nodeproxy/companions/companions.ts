import { pause } from '../../lib/abort.ts'
import type { Cancellation } from '../../lib/cancellation.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { App } from '../../model/app.ts'
import type { CompanionView, Held, HoldRequest } from '../../model/instance.ts'
import { appOf, type InstanceId, instanceId, logFields } from '../../model/instance-id.ts'
import type { AppName } from '../../model/names.ts'
import { REFUSES_WAKE } from '../../model/placement.ts'
import type { TaskDefinition } from '../../model/task.ts'

type Options = {
  readonly hold: (instance: InstanceId, request: HoldRequest, cancellation: Cancellation) => Held | Promise<Held>
  readonly known: (app: AppName) => App | undefined
  /** A companion cannot be had on this node any more: puts the instance that uses it to sleep. */
  readonly onLost: (instance: InstanceId) => void
  readonly clock: Clock
  readonly log: Log
}

const MOST_TRIES = 3
const AGAIN_AFTER_MS = 500
const AGAIN_AT_MOST_AFTER_MS = 30_000
/** With these a companion will not run here again. */
const LOST = ['volume-elsewhere', 'node-cordoned', 'app-not-found'] as const
/** Codes that let a front try another node, where the companion may run. */
const ELSEWHERE = [...REFUSES_WAKE, 'volume-elsewhere', 'master-unreachable', 'shutting-down'] as const

/**
 * Keeps the companions of instances awake: the apps that an instance uses. They are woken before it, in their order, and are held until it is
 * asleep. A companion that stops in between (a newer release, a crash) is woken again.
 */
export class Companions {
  readonly #options: Options
  readonly #used = new Map<InstanceId, Map<AppName, Used>>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Wakes the companions of the task one after the other, and holds them for the instance. Fails as the first of them that cannot be woken. */
  async take(instance: InstanceId, { app, uses = [] }: TaskDefinition, signal: AbortSignal): Promise<void> {
    this.#mustBeNoCircle(app, uses)
    for (const companion of uses) {
      const used = this.#usedBy(instance, companion)
      if (used.isHeld) continue
      try {
        await used.hold(signal)
      } catch (error) {
        signal.throwIfAborted()
        throw notWoken(app, companion, asShadowError(error))
      }
    }
  }

  /** Takes over an instance that an earlier run of this node left awake: its companions are held again as soon as they can be. */
  adopt(instance: InstanceId, { uses = [] }: TaskDefinition): void {
    for (const companion of uses) this.#usedBy(instance, companion).again()
  }

  /** Lets go of the companions that no run of the instance uses any more. */
  keep(instance: InstanceId, tasks: readonly TaskDefinition[]): void {
    const kept = new Set(tasks.flatMap(({ uses = [] }) => uses))
    const all = this.#used.get(instance)
    for (const [companion, used] of all ?? []) {
      if (kept.has(companion)) continue
      used[Symbol.dispose]()
      all?.delete(companion)
    }
    if (all?.size === 0) this.#used.delete(instance)
  }

  /** The instance is asleep. */
  leave(instance: InstanceId): void {
    this.keep(instance, [])
  }

  /** The companions of the instance, and why one is not held. */
  viewOf(instance: InstanceId): readonly CompanionView[] {
    return [...(this.#used.get(instance)?.values() ?? [])].map(({ companion, isHeld, problem }) => ({
      app: companion,
      isHeld,
      ...(problem !== undefined && { problem: problem.message }),
    }))
  }

  #usedBy(instance: InstanceId, companion: AppName): Used {
    let all = this.#used.get(instance)
    if (all === undefined) {
      all = new Map()
      this.#used.set(instance, all)
    }
    let used = all.get(companion)
    if (used === undefined) {
      used = new Used(instance, companion, this.#options)
      all.set(companion, used)
    }
    return used
  }

  /** The masters refuse a circle. Two changes at the same moment could still make one, and its wake would wait for itself. */
  #mustBeNoCircle(app: AppName, uses: readonly AppName[]): void {
    const seen = new Set<AppName>()
    const look = (names: readonly AppName[]): void => {
      for (const name of names) {
        if (name === app)
          throw new ShadowError('companion-not-ready', `${app} uses itself, by way of its companions`, {
            hint: `see status: shadow status ${app}; take one away: shadow detach`,
          })
        if (seen.has(name)) continue
        seen.add(name)
        look(this.#options.known(name)?.task.uses ?? [])
      }
    }
    look(uses)
  }
}

/** One companion of one instance. */
class Used implements Disposable {
  readonly companion: AppName
  readonly #instance: InstanceId
  readonly #options: Options
  readonly #over = new AbortController()
  #held: Held | undefined
  #isTrying = false
  problem: ShadowError | undefined

  constructor(instance: InstanceId, companion: AppName, options: Options) {
    this.#instance = instance
    this.companion = companion
    this.#options = options
  }

  get isHeld(): boolean {
    return this.#held !== undefined
  }

  /** Wakes it, and holds it. One that stops while it is being held is woken once more. */
  async hold(signal: AbortSignal): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES && !this.isHeld && !this.#over.signal.aborted; tries++)
      await this.#holdOnce(signal)
  }

  async #holdOnce(signal: AbortSignal): Promise<void> {
    const { hold, known } = this.#options
    let own: Held | undefined
    let hasStopped = false
    const request: HoldRequest = {
      kind: 'companion',
      what: this.#instance,
      bytes: 0,
      mayWake: true,
      permit: known(appOf(this.#instance))?.permits?.[this.companion],
      // Called as soon as it begins to stop: its end must not wait for an app that only waits for it.
      goAway: () => {
        hasStopped = true
        if (own === undefined || own !== this.#held) return
        this.#letGo()
        this.again()
      },
    }
    own = await hold(instanceId(this.companion), request, { signal })
    if (hasStopped || this.isHeld || this.#over.signal.aborted) own[Symbol.dispose]()
    else this.#held = own
    if (this.isHeld) this.problem = undefined
  }

  /** Tries to hold it, again and again, until it is held or not used any more. */
  again(): void {
    if (this.#isTrying || this.#over.signal.aborted) return
    this.#isTrying = true
    void this.#tryAgain().finally(() => {
      this.#isTrying = false
    })
  }

  async #tryAgain(): Promise<void> {
    const { clock, log, onLost } = this.#options
    const { signal } = this.#over
    for (let waitMs = AGAIN_AFTER_MS; !signal.aborted; waitMs = Math.min(2 * waitMs, AGAIN_AT_MOST_AFTER_MS)) {
      // The stop that ended the last hold is still on the stack.
      await pause(clock, 0, signal).catch(() => undefined)
      try {
        if (!signal.aborted) await this.hold(signal)
      } catch (cause) {
        if (signal.aborted) return
        const problem = asShadowError(cause)
        if (this.problem?.message !== problem.message)
          log.warn('companion not awake', { ...logFields(this.#instance), companion: this.companion, cause })
        this.problem = problem
        if (isFailure(problem, ...LOST)) onLost(this.#instance)
      }
      if (this.isHeld) return
      await pause(clock, waitMs, signal).catch(() => undefined) // the loop's head ends it
    }
  }

  #letGo(): void {
    this.#held?.[Symbol.dispose]()
    this.#held = undefined
  }

  [Symbol.dispose](): void {
    this.#over.abort(new ShadowError('app-asleep', `${this.#instance} is asleep`))
    this.#letGo()
  }
}

/** The failure of the companion, where another node may be better; else one that is no fault of the app, so that it does not count as a crash of it. */
function notWoken(app: AppName, companion: AppName, error: ShadowError): ShadowError {
  const { hint = `shadow why ${companion}`, ...details } = error.details
  const code = isFailure(error, ...ELSEWHERE) ? error.code : 'companion-not-ready'
  return new ShadowError(code, `${app} uses ${companion}, which is not awake: ${error.message}`, {
    ...details,
    hint,
    cause: error,
  })
}
