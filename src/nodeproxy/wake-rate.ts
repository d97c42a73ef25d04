import { ShadowError } from '../lib/errors.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'

const OVER_MS = 60_000

/** Bounds how often requests wake an app in a minute: strangers could keep it starting, which costs the machine more than to run it. */
export class WakeRate {
  /** When the wakes of the last minute began. */
  #at: number[] = []
  #refused: { at: number; count: number } | null = null

  /** The wakes that were refused: how many, and when the last one was. */
  get refused(): { readonly at: number; readonly count: number } | null {
    return this.#refused
  }

  /** The last wake failed, and not by the app: while a store is away, each request would be counted, and the app refused long after. */
  spare(): void {
    this.#at.pop()
  }

  /** Counts a wake for a request; fails with `rate-limited` where there were `most` in the last minute. */
  take(instance: InstanceId, most: number, now: number): void {
    this.#at = this.#at.filter(at => now - at < OVER_MS)
    const [oldest = now] = this.#at
    if (this.#at.length < most) {
      this.#at.push(now)
      return
    }
    this.#refused = { at: now, count: (this.#refused?.count ?? 0) + 1 }
    throw new ShadowError('rate-limited', `${instance} was woken ${most} times within a minute, which is the most`, {
      retryAfterMs: Math.max(1, oldest + OVER_MS - now),
      hint: `shadow update ${appOf(instance)} --wakes`,
      facts: { rate: 'wakes' },
    })
  }
}
