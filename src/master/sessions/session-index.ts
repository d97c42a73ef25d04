import type { App } from '../../model/app.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { sessionParts } from '../../model/session.ts'

/** What a master keeps in memory of a session that lives: enough to see that it has to be ended. */
export type KnownSession = {
  readonly template: AppName
  /** When it ends, in ms since the epoch. */
  readonly until: number
  readonly node: NodeName | undefined
  /** false: it sleeps when nobody uses it, and another node can wake it. */
  readonly endsWithItsNode: boolean
  /** Whether it ends when nobody uses it. */
  readonly endsWhenIdle: boolean
}

/** The sessions that live. */
export class SessionIndex {
  readonly #live = new Map<AppName, KnownSession>()
  readonly #counts = new Map<AppName, number>()

  /** The app as it is now. */
  changed({ name, session, task }: Pick<App, 'name' | 'session' | 'task'>): void {
    this.removed(name)
    if (session === undefined) return
    const { template, until, node, whenIdle } = session
    this.#live.set(name, {
      template,
      until: until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until),
      node,
      endsWithItsNode: whenIdle === 'end' || task.volume === undefined,
      endsWhenIdle: whenIdle === 'end',
    })
    this.#counts.set(template, this.count(template) + 1)
  }

  removed(name: AppName): void {
    const had = this.#live.get(name)
    if (had === undefined) return
    this.#live.delete(name)
    this.#counts.set(had.template, this.count(had.template) - 1)
  }

  count(template: AppName): number {
    return this.#counts.get(template) ?? 0
  }

  /** The names, in order. */
  names(template?: AppName): readonly AppName[] {
    const all = [...this.#live.keys()].sort()
    return template === undefined ? all : all.filter(name => sessionParts(name)?.template === template)
  }

  get all(): ReadonlyMap<AppName, KnownSession> {
    return this.#live
  }
}
