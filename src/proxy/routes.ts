import { z } from 'zod'
import { type AppChange, Freshness } from '../api/change-stream.ts'
import type { MasterClient } from '../api/client.ts'
import { RouteSchema } from '../api/schemas.ts'
import { orAborted, resolvesWithin } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { json } from '../lib/http/api/call.ts'
import type { Leaver } from '../lib/leaver.ts'
import type { Log } from '../lib/log.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Hostname } from '../model/hostname.ts'
import { MASTER_CALL_IN_WAKE_WITHIN } from '../model/intervals.ts'
import type { AppName } from '../model/names.ts'
import type { Route } from '../model/route.ts'
import type { Memory } from './memory.ts'
import type { UnseenNames } from './unseen.ts'

type Entry = {
  app: Route
  etag: string | null
  /** When the master was last asked about it, by the clock. */
  checkedAt: number
  /** The term of the stream of changes in which it was checked last. */
  checkedIn: number
  usedAt: number
  asking?: Promise<void> | undefined
}
type Options = {
  readonly master: MasterClient
  readonly memory: Memory
  readonly unseen: UnseenNames
  readonly clock: Clock
  readonly log: Log
  /** Told of each hostname whose app is another now, or none; of `undefined` while any may be. */
  readonly onChange?: (hostname: Hostname | undefined) => void
  /** Told when any route may be another: it has to be resolved here before it serves again. */
  readonly onDoubt?: () => void
}

const Kept = z.object({ app: RouteSchema, etag: z.string().nullable() })

const NOT_CHECKED = -1
/** While no master says what is newest, a route is asked about so often. */
const ASK_AGAIN_AFTER_MS = 1_000
const USED_WITHIN_MS = 60_000
const MOST_CHECKED = 1_000
const CHECKED_AT_ONCE = 16
const MOST_ROUTES = 100_000
const MOST_UNKNOWN = 10_000
// Whoever registers an app opens it the next moment; a scan of hostnames asks for each only once.
const UNKNOWN_FOR_MS = 2_000

/**
 * Which app has a hostname. What was checked since the stream of changes began is answered from memory, as long as the master goes on
 * to say that it has told all changes. What was not yet checked since then is checked first, for no longer than a wake can wait. While
 * no master says what is newest, the last known route serves, and is asked for behind its back.
 */
export class Routes {
  readonly #options: Options
  readonly #routes = new Map<Hostname, Entry>()
  readonly #hostsOf = new Map<AppName, Set<Hostname>>()
  readonly #unknown = new Map<Hostname, number>()
  readonly #firsts = new Map<Hostname, Promise<Route>>()
  readonly freshness: Freshness
  #term = 0

  constructor(options: Options) {
    this.#options = options
    this.freshness = new Freshness(options.clock)
  }

  /** The app to serve, at once where it is known; fails with `host-unknown`, or `master-unreachable` for a hostname that was never seen here. */
  resolve(hostname: Hostname, leaver: Leaver): Route | Promise<Route> {
    const route = this.#routes.get(hostname)
    if (route !== undefined) {
      const now = this.#options.clock.now()
      route.usedAt = now
      if (this.freshness.isFresh) {
        if (route.checkedIn !== this.#term) return this.#checked(hostname, route, leaver)
      } else if (now - route.checkedAt >= ASK_AGAIN_AFTER_MS) void this.#refresh(hostname, route)
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
  connected(): void {
    this.#term++
    this.freshness.opened()
    this.#unknown.clear()
    this.#options.onDoubt?.()
  }

  /**
   * Asks about the routes in use, where the stream of changes is there and silent. Where it has ended the next one is there in a
   * moment, or the master is away; until then they are asked about behind their requests.
   */
  async checkUsed(): Promise<void> {
    this.#options.onChange?.(undefined)
    if (!this.freshness.isOpen) return
    const since = this.#options.clock.now() - USED_WITHIN_MS
    const used = [...this.#routes].filter(([, { usedAt }]) => usedAt >= since).slice(-MOST_CHECKED)
    const [first, ...others] = used
    // Where the master does not answer for one, it does not for the others.
    if (first === undefined || !(await this.#answered(...first))) return
    await mapAtMost(CHECKED_AT_ONCE, others, route => this.#answered(...route))
  }

  async #answered(hostname: Hostname, route: Entry): Promise<boolean> {
    route.checkedIn = NOT_CHECKED
    await this.#refresh(hostname, route)
    return route.checkedIn !== NOT_CHECKED
  }

  /** The route, checked first; the last known one where the master takes longer than a wake can wait. */
  async #checked(hostname: Hostname, route: Entry, leaver: Leaver): Promise<Route> {
    const checked = this.#refresh(hostname, route)
    await orAborted(resolvesWithin(checked, this.#options.clock, MASTER_CALL_IN_WAKE_WITHIN), leaver.signal)
    const now = this.#routes.get(hostname)
    if (now === undefined) throw unknown(hostname)
    return now.app
  }

  #askFirst(hostname: Hostname): Promise<Route> {
    const asking = this.#first(hostname).finally(() => this.#firsts.delete(hostname))
    this.#firsts.set(hostname, asking)
    return asking
  }

  async #first(hostname: Hostname): Promise<Route> {
    const term = this.#term
    try {
      const answer = await this.#ask(hostname, null)
      if (answer === 'same') throw new ShadowError('internal', `the master knows a route of ${hostname} that we do not`)
      this.#take(hostname, answer, term)
      return answer.app
    } catch (error) {
      if (isFailure(error, 'host-unknown')) this.#isUnknown(hostname)
      if (!isFailure(error, 'master-unreachable', 'storage-unreachable')) throw error
      const kept = Kept.safeParse(this.#options.memory.get(keyOf(hostname)))
      if (!kept.success) throw error
      this.#options.log.info('route served from memory', { hostname, app: kept.data.app.name, code: error.code })
      this.#enter(hostname, { ...kept.data, ...this.#askedNow(NOT_CHECKED) })
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
    const term = this.#term
    route.asking ??= this.#ask(hostname, route.etag)
      .then(answer => {
        if (answer !== 'same') this.#take(hostname, answer, term)
        route.checkedIn = term
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

  #take(hostname: Hostname, told: { app: Route; etag: string | null }, term: number): void {
    this.#enter(hostname, { ...told, ...this.#askedNow(term) })
    this.#options.memory.set(keyOf(hostname), told)
  }

  #askedNow(checkedIn: number): Pick<Entry, 'checkedAt' | 'checkedIn' | 'usedAt'> {
    const now = this.#options.clock.now()
    return { checkedAt: now, checkedIn, usedAt: now }
  }

  #enter(hostname: Hostname, told: Omit<Entry, 'asking'>): void {
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
