import { type Clock, wallAt } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'

/** A lease that an app took itself: it is at work, and is kept awake until the lease ends. */
export type BusyLease = {
  readonly name: string
  /** The app's own words. */
  readonly why: string
  /** Both by the wall clock, in ms: a lease outlives a restart of the node. */
  readonly since: number
  readonly until: number
}

type Options = {
  readonly clock: Clock
  /** Enters a use of the instance, which counts until it is disposed of; undefined while the instance is not awake. */
  readonly enter: (lease: BusyLease) => Disposable | undefined
  /** Called after each change. */
  readonly onChange: (all: readonly BusyLease[]) => void
}

type Entry = { readonly lease: BusyLease; readonly alarm: Disposable; use: Disposable | undefined }

const MOST_LEASES = 16
export const LONGEST_BUSY_MS = 24 * 3_600_000

/** The leases that the app of one instance has taken. Each ends by itself, or with the run of the app. */
export class BusyLeases {
  readonly #options: Options
  readonly #entries = new Map<string, Entry>()

  constructor(options: Options) {
    this.#options = options
  }

  get all(): readonly BusyLease[] {
    return [...this.#entries.values()].map(({ lease }) => lease)
  }

  /** Takes the lease of this name, or extends it; fails with `bad-input` where there are too many. */
  take(name: string, forMs: number, why: string): BusyLease {
    const { clock } = this.#options
    const before = this.#entries.get(name)
    if (before === undefined && this.#entries.size >= MOST_LEASES)
      throw new ShadowError('bad-input', `there are ${MOST_LEASES} busy leases already, which is the most`)
    const now = Math.round(wallAt(clock, clock.now()))
    const until = now + Math.min(forMs, LONGEST_BUSY_MS)
    const lease = { name, why, since: before?.lease.since ?? now, until }
    this.#set(lease)
    this.#changed()
    return lease
  }

  /** Whether there was one. */
  end(name: string): boolean {
    const ended = this.#remove(name)
    if (ended) this.#changed()
    return ended
  }

  endAll(): void {
    if (this.#entries.size === 0) return
    for (const name of this.#entries.keys()) this.#remove(name)
    this.#changed()
  }

  /** The instance is awake now: the leases that its app took while it was starting begin to count. */
  awake(): void {
    for (const entry of this.#entries.values()) entry.use ??= this.#options.enter(entry.lease)
  }

  /** Takes over the leases of an earlier run of this node, as far as they have not ended. */
  restore(leases: readonly BusyLease[]): void {
    const { clock } = this.#options
    const now = wallAt(clock, clock.now())
    // The wall clock may have been set back since.
    for (const lease of leases.slice(0, MOST_LEASES))
      if (lease.until > now) this.#set({ ...lease, until: Math.min(lease.until, now + LONGEST_BUSY_MS) })
  }

  /** The node stops, and the app goes on: the leases are left as they are. */
  [Symbol.dispose](): void {
    for (const { alarm } of this.#entries.values()) alarm[Symbol.dispose]()
  }

  #set(lease: BusyLease): void {
    const { clock, enter } = this.#options
    const use = enter(lease) // before the old one ends, so that the instance is in use throughout
    this.#remove(lease.name)
    const alarm = clock.after(lease.until - wallAt(clock, clock.now()), () => this.end(lease.name))
    this.#entries.set(lease.name, { lease, alarm, use })
  }

  #remove(name: string): boolean {
    const entry = this.#entries.get(name)
    if (entry === undefined) return false
    this.#entries.delete(name)
    entry.alarm[Symbol.dispose]()
    entry.use?.[Symbol.dispose]()
    return true
  }

  #changed(): void {
    this.#options.onChange(this.all)
  }
}
