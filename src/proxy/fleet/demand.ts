import type { Clock } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Wanted } from '../../model/fleet.ts'
import { WANTED_COUNTS_FOR } from '../../model/intervals.ts'
import type { AppName } from '../../model/names.ts'
import type { Route } from '../../model/route.ts'

/** What a fleet needs to know of an app that no node had room for. */
export type Refused = Pick<Wanted, 'bytes' | 'zone' | 'driver'> & { readonly app: AppName }

/** Told of apps that no node has room for, by the threads that serve requests. */
export interface DemandListener {
  /** Whether any app is wanted, so that `met` has to be told of it. */
  readonly isAny: boolean
  /** The request for this app has failed for want of room. */
  refused(app: Refused): void
  /** A request for this app was served. */
  met(app: AppName): void
}

export const NO_DEMAND: DemandListener = { isAny: false, refused: () => undefined, met: () => undefined }

/** The errors that another server could have prevented. */
const FOR_WANT_OF_ROOM = ['no-memory', 'no-volume-slot', 'addresses-full', 'no-node'] as const
const MOST_APPS = 100

/** The app of a request that failed for want of room; undefined if it failed otherwise, or no other node could have served the app. */
export function refusedIn(error: unknown, { name, needs }: Route): Refused | undefined {
  if (!isFailure(error, ...FOR_WANT_OF_ROOM)) return undefined
  const { volume } = needs
  if (volume?.isLocal && volume.node !== null) return undefined
  return {
    app: name,
    bytes: needs.reserveBytes ?? 0,
    ...(volume !== undefined && { driver: volume.driver ?? 'loop' }),
    ...(volume?.zone !== undefined && { zone: volume.zone }),
  }
}

/** The apps that no node had room for lately. */
export class Demand implements DemandListener {
  readonly #apps = new Map<AppName, { readonly of: Refused; readonly first: number; last: number }>()
  readonly #clock: Clock
  readonly #onMore: () => void

  /** `onMore` is called with each app that is new among them. */
  constructor(clock: Clock, onMore: () => void) {
    this.#clock = clock
    this.#onMore = onMore
  }

  get isAny(): boolean {
    return this.#apps.size > 0
  }

  refused(of: Refused): void {
    const now = this.#clock.now()
    const before = this.#apps.get(of.app)
    if (before === undefined && this.#apps.size >= MOST_APPS) return
    const isKnown = before !== undefined && now - before.last < WANTED_COUNTS_FOR
    this.#apps.set(of.app, { of, first: isKnown ? before.first : now, last: now })
    if (!isKnown) this.#onMore()
  }

  met(app: AppName): void {
    this.#apps.delete(app)
  }

  /** What is wanted now. */
  get all(): readonly Wanted[] {
    const now = this.#clock.now()
    for (const [app, { last }] of this.#apps) if (now - last >= WANTED_COUNTS_FOR) this.#apps.delete(app)
    return [...this.#apps.values()].map(({ of, first, last }) => ({ ...of, firstMs: now - first, lastMs: now - last }))
  }
}

/** What several fronts want together. */
export function together(...lists: readonly (readonly Wanted[])[]): readonly Wanted[] {
  const apps = new Map<string, Wanted>()
  for (const one of lists.flat()) {
    const { firstMs = 0, lastMs = one.lastMs } = apps.get(one.app) ?? {}
    apps.set(one.app, { ...one, firstMs: Math.max(firstMs, one.firstMs), lastMs: Math.min(lastMs, one.lastMs) })
  }
  return [...apps.values()]
}
