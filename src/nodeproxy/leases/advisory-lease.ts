import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { LeaseTimes } from '../../model/intervals.ts'
import type { VolumeId } from '../../model/names.ts'

type Options = {
  readonly volume: VolumeId
  /** The epoch of the lease; undefined where it is still to be taken. */
  readonly epoch: number | undefined
  /** Renews the lease with this epoch, or takes a new one; returns its epoch. Fails with `volume-elsewhere` where it is another's. */
  readonly ask: (epoch: number | undefined) => Promise<number>
  readonly times: Pick<LeaseTimes, 'renewedEvery'>
  readonly clock: Clock
  readonly log: Log
}

/**
 * The lease of a volume whose storage keeps a second holder out by itself. It tells masters and fronts where the volume is attached. When it
 * cannot be renewed the volume stays attached all the same, and the lease is taken again as soon as it can be had.
 */
export class AdvisoryLease implements Disposable {
  readonly #options: Options
  #epoch: number | undefined
  #next: Disposable | undefined
  #isOver = false
  #asking: Promise<void> | undefined

  constructor(options: Options) {
    this.#options = options
    this.#epoch = options.epoch
    this.#renewIn(options.epoch === undefined ? 0 : options.times.renewedEvery)
  }

  /** Undefined while this node does not have it. */
  get epoch(): number | undefined {
    return this.#epoch
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    this.#next?.[Symbol.dispose]()
  }

  /** Resolves when no new lease is being taken. A renewal is not waited for: it changes no epoch. */
  async settled(): Promise<void> {
    if (this.#epoch === undefined) await this.#asking
  }

  #renewIn(ms: number): void {
    if (!this.#isOver)
      this.#next = this.#options.clock.after(ms, () => {
        this.#asking = this.#renew()
      })
  }

  async #renew(): Promise<void> {
    const { ask, volume, times, log } = this.#options
    try {
      this.#epoch = await ask(this.#epoch)
    } catch (error) {
      log.warn('lease not renewed; the volume stays attached', { volume, detail: asShadowError(error).message })
      if (isFailure(error, 'volume-elsewhere')) this.#epoch = undefined
    }
    this.#renewIn(times.renewedEvery)
  }
}
