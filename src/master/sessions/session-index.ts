import type { App } from '../../model/app.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { sessionParts, type WarmSession } from '../../model/session.ts'

/** What a master keeps in memory of a session that lives: enough to see that it has to be ended. */
export type KnownSession = {
  readonly template: AppName
  /** Tells it from others that had its name, or will. */
  readonly createdAt: string
  /** When it ends, in ms since the epoch. */
  readonly until: number
  readonly node: NodeName | undefined
  /** false: it sleeps when nobody uses it, and another node can wake it. */
  readonly endsWithItsNode: boolean
  /** Whether it ends when nobody uses it. */
  readonly endsWhenIdle: boolean
  /** Set: it waits in the pool of its template. */
  readonly warm: WarmSession | undefined
  /** Whether it is paused when its time is over, and not ended. */
  readonly isPausedInTime: boolean
}

/** The sessions that live. */
export class SessionIndex {
  /** Whether all that are stored have been read. */
  isWhole = false
  readonly #live = new Map<AppName, KnownSession>()
  readonly #counts = new Map<AppName, number>()
  /** Those that wait in pools, by their templates. */
  readonly #warm = new Map<AppName, Map<AppName, KnownSession>>()
  readonly #sandboxes = new Map<string, App>()

  /** The app as it is now. */
  changed(app: App): void {
    const { name, session, task, createdAt } = app
    this.removed(name)
    if (session === undefined) return
    const { template, until, node, whenIdle, ending } = session
    const known: KnownSession = {
      template,
      createdAt,
      until: until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until),
      node,
      endsWithItsNode: whenIdle === 'end' || task.volume === undefined,
      endsWhenIdle: whenIdle === 'end',
      warm: ending === undefined ? session.warm : undefined,
      isPausedInTime: session.sandbox?.atTimeout === 'pause',
    }
    if (session.sandbox !== undefined) this.#sandboxes.set(slotOf(name), app)
    this.#live.set(name, known)
    this.#counts.set(template, (this.#counts.get(template) ?? 0) + 1)
    if (known.warm === undefined) return
    const pool = this.#warm.get(template) ?? new Map<AppName, KnownSession>()
    this.#warm.set(template, pool.set(name, known))
  }

  removed(name: AppName): void {
    const had = this.#live.get(name)
    if (had === undefined) return
    this.#live.delete(name)
    this.#counts.set(had.template, (this.#counts.get(had.template) ?? 0) - 1)
    const pool = this.#warm.get(had.template)
    pool?.delete(name)
    if (pool?.size === 0) this.#warm.delete(had.template)
    if (this.#sandboxes.get(slotOf(name))?.name === name) this.#sandboxes.delete(slotOf(name))
  }

  /** How many sessions of the template are in use: those that wait in its pool do not count. */
  count(template: AppName): number {
    return (this.#counts.get(template) ?? 0) - (this.#warm.get(template)?.size ?? 0)
  }

  /** The sessions that wait in the pool of the template. */
  warm(template: AppName): ReadonlyMap<AppName, KnownSession> {
    return this.#warm.get(template) ?? NONE
  }

  /** The templates in whose pools sessions wait. */
  get pools(): Iterable<AppName> {
    return this.#warm.keys()
  }

  /** The names, in order. */
  names(template?: AppName): readonly AppName[] {
    const all = [...this.#live.keys()].sort()
    return template === undefined ? all : all.filter(name => sessionParts(name)?.template === template)
  }

  /** The sandbox with this slot in its name. */
  sandbox(slot: string): App | undefined {
    return this.#sandboxes.get(slot)
  }

  get sandboxes(): readonly App[] {
    return [...this.#sandboxes.values()]
  }

  get all(): ReadonlyMap<AppName, KnownSession> {
    return this.#live
  }
}

const NONE: ReadonlyMap<AppName, KnownSession> = new Map()
const slotOf = (name: AppName): string => sessionParts(name)?.slot ?? name
