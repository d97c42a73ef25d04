import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { LeaseTimes } from '../../model/intervals.ts'
import type { VolumeId } from '../../model/names.ts'

const TRY_AGAIN_AFTER_MS = 1_000

type Options = {
  readonly volume: VolumeId
  /** When the lease was asked for, by `clock.now()`: the master counts from later on. */
  readonly askedAt: number
  /** Asks a master to renew the lease; fails with `volume-elsewhere` where it is another's. */
  readonly renew: () => Promise<void>
  /** Called after each renewal, with the time that it was asked for; if this fails, the lease counts as not renewed. */
  readonly onRenewed: (askedAt: number) => Promise<void>
  readonly times: LeaseTimes
  readonly clock: Clock
  readonly log: Log
}

/**
 * Renews one lease at a third of its time, until it is disposed of. `lost` aborts when a master says that the lease is another
 * node's, and when none has renewed it for so long that it could expire before the volume is unmounted.
 */
export class Renewal implements Disposable {
  readonly #options: Options
  readonly #lost = new AbortController()
  /** See `LeaseKeeper.validUntil`. */
  readonly validUntil = new Float64Array(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT))
  #end: Disposable | undefined
  #next: Disposable | undefined
  #recorded: Promise<void> | undefined

  constructor(options: Options) {
    this.#options = options
    this.#renewed(options.askedAt)
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  [Symbol.dispose](): void {
    this.#end?.[Symbol.dispose]()
    this.#next?.[Symbol.dispose]()
    this.#end = undefined
  }

  /** Resolves when no call of `onRenewed` is running. After the renewal was disposed of, none begins. */
  async settled(): Promise<void> {
    await this.#recorded?.catch(() => undefined) // `#renew` handles it
  }

  get #isOver(): boolean {
    return this.#end === undefined
  }

  #renewed(askedAt: number): void {
    const { clock, volume, times } = this.#options
    // From the request on, a lease is safe to write under for this long.
    const safeFor = times.lasts - times.clockSkew - times.stopWithin
    this.validUntil[0] = askedAt + times.lasts - times.clockSkew
    this.#end?.[Symbol.dispose]()
    this.#end = clock.after(Math.max(0, askedAt + safeFor - clock.now()), () =>
      this.#lose(new ShadowError('master-unreachable', `no master has renewed the lease of volume ${volume} in time`)),
    )
    this.#renewIn(times.renewedEvery)
  }

  #renewIn(ms: number): void {
    this.#next = this.#options.clock.after(ms, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const { clock, renew, onRenewed, volume, log } = this.#options
    const askedAt = clock.now()
    try {
      await renew()
      if (this.#isOver) return
      this.#recorded = onRenewed(askedAt)
      await this.#recorded
      if (!this.#isOver) this.#renewed(askedAt)
    } catch (error) {
      if (this.#isOver) return
      if (isFailure(error, 'volume-elsewhere', 'not-found')) return this.#lose(error)
      log.warn('lease not renewed; tried again', { volume, detail: asShadowError(error).message })
      this.#renewIn(TRY_AGAIN_AFTER_MS)
    }
  }

  #lose(problem: ShadowError): void {
    this[Symbol.dispose]()
    this.#options.log.error('lease lost', { volume: this.#options.volume, detail: problem.message })
    this.#lost.abort(problem)
  }
}
