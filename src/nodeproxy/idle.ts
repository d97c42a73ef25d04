import type { Clock } from '../lib/clock.ts'
import { type Duration, toMs } from '../model/quantities.ts'
import type { Left } from './holds.ts'

type Options = { clock: Clock; idleAfter: Duration | 'never'; inUse: () => boolean; onIdle: () => void }

/**
 * Rings when an app was out of use for its whole `idleAfter`. The alarm is not moved at each request: when it rings early it is
 * set anew for what is left, so that a request costs no timer.
 */
export class Idle implements Disposable {
  readonly #options: Options
  readonly #afterMs: number | undefined
  #since: number
  #alarm: Disposable | undefined
  #isOver = false

  constructor(options: Options) {
    this.#options = options
    this.#afterMs = options.idleAfter === 'never' ? undefined : toMs(options.idleAfter)
    this.#since = options.clock.now()
    this.#set()
  }

  /** When it rings if no request comes; undefined if it does not run. */
  get ringsAt(): number | undefined {
    return this.#afterMs === undefined || this.#options.inUse() ? undefined : this.#since + this.#afterMs
  }

  /** Since when the instance is idle; undefined if it is in use or never sleeps. */
  get since(): number | undefined {
    return this.#afterMs === undefined || this.#options.inUse() ? undefined : this.#since
  }

  /** A user has left; one that does not put the sleep off only kept it from coming meanwhile. */
  left({ putsOff, at }: Left): void {
    if (putsOff) this.#since = at === undefined ? this.#options.clock.now() : Math.max(this.#since, at)
    if (this.#alarm === undefined && !this.#isOver) this.#set()
  }

  #set(): void {
    const at = this.ringsAt
    if (at === undefined) return // it is set when the last user leaves
    this.#alarm = this.#options.clock.after(at - this.#options.clock.now(), () => this.#ring())
  }

  #ring(): void {
    this.#alarm = undefined
    const at = this.ringsAt
    if (at === undefined) return
    if (at > this.#options.clock.now()) this.#set()
    else this.#options.onIdle()
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    this.#alarm?.[Symbol.dispose]()
  }
}
