import { z } from 'zod'
import type { AppChange } from '../api/change-stream.ts'
import type { MasterClient } from '../api/client.ts'
import { RouteSchema } from '../api/schemas.ts'
import { orAborted } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { json } from '../lib/http/client.ts'
import type { Leaver } from '../lib/leaver.ts'
import type { Log } from '../lib/log.ts'
import type { Hostname } from '../model/hostname.ts'
import { ROUTE_STALE_AFTER } from '../model/intervals.ts'
import type { AppName } from '../model/names.ts'
import type { Route } from '../model/route.ts'
import type { Memory } from './memory.ts'
import type { UnseenNames } from './unseen.ts'

type Entry = { app: Route; etag: string | null; checkedAt: number; asking?: Promise<void> | undefined }
type Options = {
  readonly master: MasterClient
  readonly memory: Memory
  readonly unseen: UnseenNames
  readonly clock: Clock
  readonly log: Log
  /** Told of each hostname whose app is another now, or none; of `undefined` when any may be. */
  readonly onChange?: (hostname: Hostname | undefined) => void
}

const Kept = z.object({ app: RouteSchema, etag: z.string().nullable() })

const MOST_ROUTES = 100_000
const MOST_UNKNOWN = 10_000
// Whoever registers an app opens it the next moment; a scan of hostnames asks for each only once.
const UNKNOWN_FOR_MS = 2_000

/**
 * Which app has a hostname. A known one is answered from memory, and asked for again behind its back when it is older than
 * ROUTE_STALE_AFTER; so the master is asked for a hostname that is new, and waited for only then.
 */
export class Routes {
  readonly #options: Options
  readonly #routes = new Map<Hostname, Entry>()
  readonly #hostsOf = new Map<AppName, Set<Hostname>>()
  readonly #unknown = new Map<Hostname, number>()
  readonly #firsts = new Map<Hostname, Promise<Route>>()

  constructor(options: Options) {
    this.#options = options
  }

  /** The app to serve, at once where it is known; fails with `host-unknown`, or `master-unreachable` for a hostname that was never seen here. */
  resolve(hostname: Hostname, leaver: Leaver): Route | Promise<Route> {
    const route = this.#routes.get(hostname)
    if (route !== undefined) {
      if (this.#options.clock.now() - route.checkedAt >= ROUTE_STALE_AFTER) void this.#refresh(hostname, route)
      return route.app
    }
    if ((this.#unknown.get(hostname) ?? 0) > this.#options.clock.now()) throw unknown(hostname)
    const first = this.#firsts.get(hostname)
    if (first !== undefined) return orAborted(first, leaver.signal)
    if (!this.#options.unseen.mayLookUp(() => this.#options.memory.get(keyOf(hostname)) !== undefined))
      throw unknown(hostname)
    return orAborted(this.#askFirst(hostname), leaver.signal)
  }

  /** A change was told: its app's routes are asked for anew, and hostnames that it has now are no longer unknown. */
  async changed({ app, revision, domains }: AppChange): Promise<void> {
    for (const hostname of domains) this.#unknown.delete(hostname)
    const known = [...(this.#hostsOf.get(app) ?? [])]
    if (revision === null) for (const hostname of known) this.#forget(hostname)
    else await Promise.all(known.map(hostname => this.#refreshNow(hostname)))
  }

  /** The stream of changes has begun anew: whatever is known may have changed in between. */
  allStale(): void {
    for (const route of this.#routes.values()) route.checkedAt = 0
    this.#unknown.clear()
    this.#options.onChange?.(undefined)
  }

  #askFirst(hostname: Hostname): Promise<Route> {
    const asking = this.#first(hostname).finally(() => this.#firsts.delete(hostname))
    this.#firsts.set(hostname, asking)
    return asking
  }

  async #first(hostname: Hostname): Promise<Route> {
    try {
      const answer = await this.#ask(hostname, null)
      if (answer === 'same') throw new ShadowError('internal', `the master knows a route of ${hostname} that we do not`)
      this.#take(hostname, answer)
      return answer.app
    } catch (error) {
      if (isFailure(error, 'host-unknown')) this.#isUnknown(hostname)
      if (!isFailure(error, 'master-unreachable', 'storage-unreachable')) throw error
      const kept = Kept.safeParse(this.#options.memory.get(keyOf(hostname)))
      if (!kept.success) throw error
      this.#options.log.info('route served from memory', { hostname, app: kept.data.app.name, code: error.code })
      this.#enter(hostname, { ...kept.data, checkedAt: this.#options.clock.now() })
      return kept.data.app
    }
  }

  async #refreshNow(hostname: Hostname): Promise<void> {
    const route = this.#routes.get(hostname)
    if (route === undefined) return
    await route.asking // it may have been asked before the change
    await this.#refresh(hostname, route)
  }

  /** Asks again; quietly, as the route serves on when the master is away. */
  #refresh(hostname: Hostname, route: Entry): Promise<void> {
    route.asking ??= this.#ask(hostname, route.etag)
      .then(answer => {
        if (answer !== 'same') this.#take(hostname, answer)
      })
      .catch(error => {
        if (isFailure(error, 'host-unknown')) this.#forget(hostname)
        else this.#options.log.debug('route not refreshed', { hostname, cause: error })
      })
      .finally(() => {
        route.asking = undefined
        route.checkedAt = this.#options.clock.now()
      })
    return route.asking
  }

  async #ask(hostname: Hostname, etag: string | null): Promise<{ app: Route; etag: string | null } | 'same'> {
    const answer = await this.#options.master.raw('getHost', {
      params: { hostname },
      headers: etag === null ? {} : { 'if-none-match': etag },
    })
    if (answer.status === 304) {
      answer.body.resume()
      return 'same'
    }
    return { app: RouteSchema.parse(await json(answer)), etag: answer.headers.etag ?? null }
  }

  #take(hostname: Hostname, told: { app: Route; etag: string | null }): void {
    this.#enter(hostname, { ...told, checkedAt: this.#options.clock.now() })
    this.#options.memory.set(keyOf(hostname), told)
  }

  #enter(hostname: Hostname, told: { app: Route; etag: string | null; checkedAt: number }): void {
    const route = this.#routes.get(hostname)
    if (route !== undefined && route.app.name !== told.app.name) this.#hostsOf.get(route.app.name)?.delete(hostname)
    if (route === undefined) {
      const oldest = this.#routes.size >= MOST_ROUTES ? this.#routes.keys().next().value : undefined
      if (oldest !== undefined) this.#drop(oldest)
      this.#routes.set(hostname, told)
    } else {
      const changed = route.app !== told.app
      Object.assign(route, told)
      if (changed) this.#options.onChange?.(hostname)
    }
    const hosts = this.#hostsOf.get(told.app.name) ?? new Set()
    this.#hostsOf.set(told.app.name, hosts.add(hostname))
  }

  #forget(hostname: Hostname): void {
    this.#drop(hostname)
    this.#options.memory.forget(keyOf(hostname))
  }

  #drop(hostname: Hostname): void {
    const route = this.#routes.get(hostname)
    if (route === undefined) return
    this.#routes.delete(hostname)
    this.#options.onChange?.(hostname)
    const hosts = this.#hostsOf.get(route.app.name)
    hosts?.delete(hostname)
    if (hosts?.size === 0) this.#hostsOf.delete(route.app.name)
  }

  #isUnknown(hostname: Hostname): void {
    const oldest = this.#unknown.size >= MOST_UNKNOWN ? this.#unknown.keys().next().value : undefined
    if (oldest !== undefined) this.#unknown.delete(oldest)
    this.#unknown.set(hostname, this.#options.clock.now() + UNKNOWN_FOR_MS)
    const { memory } = this.#options
    // To look is cheap; a row that is not there would cost a write all the same.
    if (memory.get(keyOf(hostname)) !== undefined) memory.forget(keyOf(hostname))
  }
}

const keyOf = (hostname: Hostname): string => `route/${hostname}`
const unknown = (hostname: Hostname): ShadowError =>
  new ShadowError('host-unknown', `no app has the hostname ${hostname}`, { hint: 'shadow ps' })
