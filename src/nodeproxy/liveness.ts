import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { opens } from './readiness.ts'
import type { Running } from './running-container.ts'
import type { Runtime } from './runtime/runtime.ts'

// Connections end a moment before the process is gone: the kernel closes files first, then it notifies the parent.
const SETTLES_MS = 60
const STEP_MS = 10
// Docker cleans up before it reports an end, which takes seconds under load.
const TOLD_WITHIN_MS = 10_000
// Docker may never report the end of a container that something else removed.
const RECONCILES_AFTER_MS = 500
// After a kill for want of memory the run may be about to end: its init process reports the end only when it gets its turn.
const KILL_SETTLES_MS = 1_000
// Requests that one process had in hand fail together.
const SAME_KILL_MS = 1_000

type Parts = {
  readonly runtime: Runtime
  readonly clock: Clock
  /** How long a port that refuses connections is waited for. */
  readonly reopensWithinMs: number
  /** Until then, by the clock, the app may still boot. */
  readonly bootsUntil: number
  /** Takes an inventory of this machine now, and mends what differs. */
  readonly reconcile: () => Promise<void>
  /** A process of the app was ended for want of memory, and the app goes on. */
  readonly onMemoryKill: () => void
}

/** Whether one run of an app still runs, and what ended it: for requests that lost their connection to it. */
export class Liveness {
  readonly #running: Pick<Running, 'task' | 'container' | 'address'>
  readonly #parts: Parts
  readonly #ended = Promise.withResolvers<ShadowError>()
  readonly #over = new AbortController()
  #problem: ShadowError | undefined
  #memoryKills = 0
  #killedAt = Number.NEGATIVE_INFINITY
  #reopening: Promise<void> | undefined

  constructor(running: Pick<Running, 'task' | 'container' | 'address'>, parts: Parts) {
    this.#running = running
    this.#parts = parts
  }

  /** Records the end of the run, with its reason. */
  end(problem: ShadowError): void {
    this.#problem ??= problem
    this.#ended.resolve(problem)
    this.#over.abort()
  }

  /** Call it after a request was lost that the run had in hand. Resolves if the run goes on; rejects with what ended the run, or a process of it. */
  async alive(): Promise<void> {
    await this.#settle(SETTLES_MS)
    await this.checkMemory()
    if (performance.now() - this.#killedAt >= SAME_KILL_MS) return
    await this.#settle(KILL_SETTLES_MS)
    throw this.#killed()
  }

  /** Waits for so long whether the run ends, and rejects with what ended it. */
  async #settle(ms: number): Promise<void> {
    const until = performance.now() + ms
    while (this.#problem === undefined && performance.now() < until) {
      if (await this.#parts.runtime.runs(this.#running.container)) await this.#within(STEP_MS)
      else await this.#untilTold()
    }
    if (this.#problem !== undefined) throw this.#problem
  }

  /** Checks whether the kernel has killed a process of it for want of memory since the last check. */
  async checkMemory(): Promise<void> {
    const kills = await this.#parts.runtime.memoryKills(this.#running.container)
    if (kills <= this.#memoryKills) return
    this.#memoryKills = kills
    this.#killedAt = performance.now()
    this.#parts.onMemoryKill()
  }

  /**
   * Call it after the port refused a connection. Resolves when another try makes sense: the run has ended, so a hold wakes the app, or the port
   * is open again. Rejects with `app-unreachable` if the port stays closed.
   */
  refused(): Promise<void> {
    this.#reopening ??= this.#reopens().finally(() => {
      this.#reopening = undefined
    })
    return this.#reopening
  }

  async #reopens(): Promise<void> {
    const { clock, reopensWithinMs, bootsUntil, runtime } = this.#parts
    const from = performance.now()
    const withinMs = Math.max(reopensWithinMs, bootsUntil - clock.now())
    for (let gap = 2; this.#problem === undefined; gap = Math.min(gap * 2, 100)) {
      if (!(await runtime.runs(this.#running.container))) {
        await this.#untilTold()
        return
      }
      if (await opens(this.#running.address, this.#over.signal)) return
      if (performance.now() - from >= withinMs) throw this.#closed(withinMs)
      await this.#within(gap)
    }
  }

  /** It does not run: waits until the runtime has reported that, and takes an inventory if it does not. */
  async #untilTold(): Promise<void> {
    await this.#within(RECONCILES_AFTER_MS)
    if (this.#problem !== undefined) return
    await this.#parts.reconcile()
    await this.#within(TOLD_WITHIN_MS)
  }

  /** Resolves when it has ended, or the time is up. */
  async #within(ms: number): Promise<void> {
    const enough = new AbortController()
    const time = sleep(ms, undefined, { signal: enough.signal }).catch(() => undefined) // it has ended before
    await Promise.race([this.#ended.promise, time])
    enough.abort()
  }

  #killed(): ShadowError {
    const { app, limits } = this.#running.task
    return new ShadowError(
      'app-crashed',
      `the kernel ended a process of ${app} that had the request in hand: the app used more than its ${limits.memory} of memory`,
      { hint: `give it more: shadow update ${app} --memory SIZE`, facts: { outOfMemory: 1 } },
    )
  }

  #closed(withinMs: number): ShadowError {
    const { app, port } = this.#running.task
    return new ShadowError(
      'app-unreachable',
      `${app} runs, and took no connection on port ${port} for ${withinMs} ms`,
      {
        hint: `shadow logs ${app}`,
        facts: { port },
      },
    )
  }
}

/** The error for a request that was in hand when its app was stopped. */
export const wasStopped = ({ task: { app } }: Pick<Running, 'task'>, why: string): ShadowError =>
  new ShadowError('app-unreachable', `${app} was stopped (${why}) before it had answered`, {
    hint: `shadow why ${app}`,
  })
