import { isFailure, type ShadowError } from '../lib/errors.ts'
import type { InstanceId } from '../model/instance-id.ts'
import { inCrashLoop } from './refusals.ts'

const FREE_TRIES = 3
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 300_000
// Failures that are the app's own, and not the machine's.
const APP_FAULTS = ['app-crashed', 'app-not-ready', 'command-not-found', 'definition-refused'] as const
// A run that was ready and lived for this long was no failed start.
const LIVED_MS = 60_000

/** Failures of an app in a row, and how long to leave it alone after them: not at all at first, then 1 s doubling to 5 min. */
export class Crashes {
  #count = 0
  #retryAt = 0

  get count(): number {
    return this.#count
  }

  /** When the next try may be made; in the past where it may be made now. */
  get retryAt(): number {
    return this.#retryAt
  }

  /** Counts a wake that failed, where that was the app's own fault; whether it was. */
  failedToWake(problem: ShadowError, now: number): boolean {
    const ofTheApp = isFailure(problem, ...APP_FAULTS)
    if (ofTheApp) this.#failed(now)
    return ofTheApp
  }

  #failed(now: number): void {
    this.#count++
    const pause =
      this.#count < FREE_TRIES ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (this.#count - FREE_TRIES), LONGEST_PAUSE_MS)
    this.#retryAt = now + pause
  }

  /** Counts the end of a run that was ready. True if it ended by itself with exit code 0. `exitCode` undefined: unknown. */
  ended(exitCode: number | undefined, readyAt: number, now: number): boolean {
    const lived = now - readyAt >= LIVED_MS
    if (lived) this.forget()
    const ofItself = lived && exitCode === 0
    if (!ofItself) this.#failed(now)
    return ofItself
  }

  /** Throws the last failure of the app during its pause. */
  refuseLoop(instance: InstanceId, last: ShadowError, now: number): void {
    if (this.#retryAt > now) throw inCrashLoop(instance, last, this.#count, this.#retryAt - now)
  }

  /** A person wants another try now; the count stays. */
  tryNow(): void {
    this.#retryAt = 0
  }

  forget(): void {
    this.#count = 0
    this.#retryAt = 0
  }
}
