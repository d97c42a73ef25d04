import { randomUUID } from 'node:crypto'
import type { AppName } from '../../model/names.ts'
import { fault } from './faults.ts'
import type { WatchEvent } from './watch.ts'

const MOST_PER_SANDBOX = 6
const MOST_EVENTS = 10_000

type Watcher = { readonly events: WatchEvent[]; readonly ending: AbortController }
type Watch = (
  told: { ready: () => Promise<void>; tell: (events: readonly WatchEvent[]) => Promise<void> },
  signal: AbortSignal,
) => Promise<void>

/** Watches of folders, of which each one holds a session of its sandbox. Those that clients poll keep their events here. */
export class Watchers {
  readonly #all = new Map<AppName, Map<string, Watcher>>()
  readonly #open = new Map<AppName, number>()

  /** Counts a watch; fails with `resource_exhausted` where there are too many. */
  take(sandbox: AppName): Disposable {
    const count = this.#open.get(sandbox) ?? 0
    if (count >= MOST_PER_SANDBOX)
      throw fault('resource_exhausted', `the sandbox has ${MOST_PER_SANDBOX} watches, and may have no more`)
    this.#open.set(sandbox, count + 1)
    return {
      [Symbol.dispose]: () => {
        const left = (this.#open.get(sandbox) ?? 1) - 1
        if (left === 0) this.#open.delete(sandbox)
        else this.#open.set(sandbox, left)
      },
    }
  }

  /** Begins a watch whose events are asked for; resolves with its id when it has begun. */
  async create(sandbox: AppName, watch: Watch): Promise<string> {
    const counted = this.take(sandbox)
    const watcher: Watcher = { events: [], ending: new AbortController() }
    const id = randomUUID()
    const begun = Promise.withResolvers<void>()
    const told = {
      ready: async () => begun.resolve(),
      tell: async (events: readonly WatchEvent[]) => {
        watcher.events.push(...events)
        if (watcher.events.length > MOST_EVENTS)
          throw fault('resource_exhausted', `the watch has ${MOST_EVENTS} events that nobody asked for`)
      },
    }
    watch(told, watcher.ending.signal)
      .catch(error => begun.reject(error))
      .finally(() => {
        counted[Symbol.dispose]()
        this.#forget(sandbox, id)
      })
    await begun.promise
    const of = this.#all.get(sandbox) ?? new Map()
    this.#all.set(sandbox, of.set(id, watcher))
    return id
  }

  /** The events since the last call. Fails with `not_found` if the watch has ended. */
  events(sandbox: AppName, id: string): readonly WatchEvent[] {
    return this.#get(sandbox, id).events.splice(0)
  }

  remove(sandbox: AppName, id: string): void {
    this.#get(sandbox, id).ending.abort(fault('canceled', 'the watch was removed'))
    this.#forget(sandbox, id)
  }

  #get(sandbox: AppName, id: string): Watcher {
    const found = this.#all.get(sandbox)?.get(id)
    if (found === undefined)
      throw fault('not_found', `no watch of this master has the id ${id.slice(0, 100)}, or it has ended`)
    return found
  }

  #forget(sandbox: AppName, id: string): void {
    const of = this.#all.get(sandbox)
    of?.delete(id)
    if (of?.size === 0) this.#all.delete(sandbox)
  }
}
