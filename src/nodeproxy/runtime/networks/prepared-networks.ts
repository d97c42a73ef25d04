import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { type Holder, NoHolders } from './network-holders.ts'

/** For so long no container was started before networks are prepared: a wake has the processors for itself. */
const QUIET_MS = 500
/** After a failure, doubled with each further one. */
const AGAIN_AFTER_MS = 1_000
const AGAIN_AT_MOST_AFTER_MS = 60_000
/** If so many wait for their removal, quiet is not waited for: a bridge has 1,023 ports. */
const MOST_USED = 64

type Options = {
  /** How many wait ready; 0: none is prepared. */
  readonly size: number
  readonly make: () => Promise<Holder>
  readonly remove: (holder: Holder) => Promise<void>
  /** Resolves when the holder has ended; rejects where that is not known. */
  readonly ended: (holder: Holder, signal: AbortSignal) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

type Waiting = { readonly holder: Holder; readonly watch: AbortController }

/**
 * A few networks that are made before containers need them. Each is given to one container and then removed, so that no container meets what
 * came for an earlier one. They are made and removed one at a time, while no container is being started.
 */
export class PreparedNetworks {
  readonly #options: Options
  readonly #waiting: Waiting[] = []
  /** Those that were in use, and those that have ended: to be removed. */
  readonly #used: Holder[] = []
  #starts = 0
  #timer: Disposable | undefined
  #failures = 0
  #notBefore = Number.NEGATIVE_INFINITY
  #working: Promise<void> | undefined
  #isOpen = false
  #isClosed = false
  #cannot = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Begins to prepare networks, as soon as it is quiet. */
  open(): void {
    if (this.#isOpen || this.#options.size === 0) return
    this.#isOpen = true
    this.#later(QUIET_MS)
  }

  /** One that is ready and fits, which is the caller's from now on; undefined where none is. */
  take(isFit: (holder: Holder) => boolean = () => true): Holder | undefined {
    const at = this.#waiting.findIndex(({ holder }) => isFit(holder))
    const [found] = at < 0 ? [] : this.#waiting.splice(at, 1)
    found?.watch.abort()
    return found?.holder
  }

  /** Nothing is prepared while the work runs: a container is being started. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#starts += 1
    try {
      return await work()
    } finally {
      this.#starts -= 1
      this.#later(QUIET_MS)
    }
  }

  /** Has a holder removed that is used no more. */
  discard(...holders: readonly Holder[]): void {
    this.#used.push(...holders)
    this.#later(QUIET_MS)
  }

  /** Nothing is prepared any more, and what was is removed. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.[Symbol.dispose]()
    await this.#working
    for (let holder = this.take(); holder !== undefined; holder = this.take()) this.#used.push(holder)
    await this.#removeUsed(() => true).catch(cause => this.#options.log.debug('network holders not removed', { cause }))
  }

  get #isQuiet(): boolean {
    return this.#starts === 0 && !this.#isClosed
  }

  get #isWanted(): boolean {
    return this.#isOpen && !this.#cannot && this.#waiting.length < this.#options.size
  }

  #later(ms: number): void {
    if (this.#isClosed || (this.#used.length === 0 && !this.#isWanted)) return
    this.#timer?.[Symbol.dispose]()
    const { clock } = this.#options
    const wait = this.#used.length > MOST_USED ? 0 : ms
    this.#timer = clock.after(Math.max(wait, this.#notBefore - clock.now()), () => this.#work())
  }

  #work(): void {
    this.#timer = undefined
    this.#working ??= this.#worked().finally(() => {
      this.#working = undefined
      this.#later(QUIET_MS) // for what has come meanwhile, or was left since a container is started
    })
  }

  async #worked(): Promise<void> {
    try {
      await this.#removeUsed(() => this.#isQuiet || this.#used.length > MOST_USED)
      while (this.#isQuiet && this.#isWanted) this.#add(await this.#options.make())
      this.#failures = 0
    } catch (cause) {
      if (cause instanceof NoHolders) this.#cannot = true
      const { clock, log } = this.#options
      this.#notBefore = clock.now() + Math.min(AGAIN_AFTER_MS * 2 ** this.#failures, AGAIN_AT_MOST_AFTER_MS)
      this.#failures += 1
      log.warn('no network prepared: wakes make their own', { cause })
    }
  }

  async #removeUsed(goesOn: () => boolean): Promise<void> {
    for (let holder = this.#used[0]; holder !== undefined && goesOn(); holder = this.#used[0]) {
      await this.#options.remove(holder)
      this.#used.shift()
    }
  }

  #add(holder: Holder): void {
    const watch = new AbortController()
    const one = { holder, watch }
    this.#waiting.push(one)
    const gone = (): void => {
      const at = this.#waiting.indexOf(one)
      if (at < 0) return // taken: its container's end is watched for now
      this.#waiting.splice(at, 1)
      this.discard(holder)
    }
    // Where Docker does not say, it may have been started again, and has ended what ran in it.
    this.#options.ended(holder, watch.signal).then(gone, gone)
  }
}
