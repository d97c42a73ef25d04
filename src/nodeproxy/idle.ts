import type { Clock } from '../lib/clock.ts'
import { type Duration, toMs } from '../model/quantities.ts'
import type { Left } from './holds.ts'

type Options = {
  clock: Clock
  /** Asked again each time that it matters: it may change while the instance is awake. */
  idleAfter: () => Duration | 'never'
  /** After which time it rings before that, asked for as often; undefined: it does not. */
  before?: () => Duration | undefined
  /** Whether it does not sleep for want of use, though its idle time counts; left out: it does. */
  stays?: () => boolean
  inUse: () => boolean
  /** Until when a front keeps the instance awake, by the clock. */
  keptUntil: () => number
  onIdle: () => void
}

/**
 * Rings when an app was out of use for its whole `idleAfter`, and at the time before that if there is one. The alarm is not moved at each request: when it rings early it is
 * set anew for what is left, so that a request costs no timer.
 */
export class Idle implements Disposable {
  readonly #options: Options
  #since: number
  #alarm: Disposable | undefined
  #isOver = false
  #isSoon = false
  /** Set by a dry run: it rings no more until somebody has used the instance. */
  #isResting = false
  #notBefore = Number.NEGATIVE_INFINITY

  constructor(options: Options) {
    this.#options = options
    this.#since = options.clock.now()
    this.#set()
  }

  /** undefined: never. */
  get #afterMs(): number | undefined {
    const idleAfter = this.#options.idleAfter()
    return idleAfter === 'never' ? undefined : toMs(idleAfter)
  }

  /** When it rings if no request comes; undefined if it does not run. */
  get ringsAt(): number | undefined {
    return this.beforeAt ?? this.sleepsAt
  }

  /** When it rings before the time to sleep, if no request comes; undefined: it does not. */
  get beforeAt(): number | undefined {
    const before = this.#isSoon ? undefined : this.#options.before?.()
    return before === undefined ? undefined : this.#at(toMs(before))
  }

  /** When the instance is to sleep if no request comes; undefined if that is not known. */
  get sleepsAt(): number | undefined {
    if (this.#isSoon) return this.#at(0)
    return this.#at(this.#options.stays?.() === true ? undefined : this.#afterMs)
  }

  #at(afterMs: number | undefined): number | undefined {
    if (afterMs === undefined || this.#isResting || this.#options.inUse()) return undefined
    return Math.max(this.#since + afterMs, this.#options.keptUntil(), this.#notBefore)
  }

  /** Since when the instance is idle; undefined if it is in use, is kept awake, or never sleeps. */
  get since(): number | undefined {
    const { clock, inUse, keptUntil } = this.#options
    const isKept = keptUntil() > clock.now() || this.#notBefore > clock.now() || this.#isResting
    return this.#afterMs === undefined || inUse() || isKept ? undefined : this.#since
  }

  /** Whether it rings as soon as nobody uses the instance. */
  get isSoon(): boolean {
    return this.#isSoon
  }

  /** Lets it ring as soon as nobody uses the instance. */
  soon(): void {
    this.#isSoon = true
    this.setAnew()
  }

  /** Its time may be another one now. */
  setAnew(): void {
    this.#alarm?.[Symbol.dispose]()
    this.#alarm = undefined
    if (!this.#isOver) this.#set()
  }

  /** The instance is at work though nobody uses it: rings again after this time at the earliest. */
  again(inMs: number): void {
    this.#notBefore = this.#options.clock.now() + inMs
    if (this.#alarm === undefined && !this.#isOver) this.#set()
  }

  /** Rings no more until somebody has used the instance. */
  rest(): void {
    this.#isResting = true
    this.#isSoon = false
  }

  /** A user has left; one that does not put the sleep off only kept it from coming meanwhile. */
  left({ putsOff, at }: Left): void {
    if (putsOff) this.#isResting = false
    if (putsOff) this.#since = at === undefined ? this.#options.clock.now() : Math.max(this.#since, at)
    if (this.#alarm === undefined && !this.#isOver) this.#set()
  }

  #set(): void {
    const at = this.ringsAt
    if (at === undefined) return // it is set when the last user leaves
    this.#alarm = this.#options.clock.after(Math.max(0, at - this.#options.clock.now()), () => this.#ring())
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
