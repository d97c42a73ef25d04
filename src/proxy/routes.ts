import { z } from 'zod'
import type { AppChange } from '../api/change-stream.ts'
import type { MasterClient } from '../api/client.ts'
import { RouteSchema } from '../api/schemas.ts'
import { orAborted } from '../lib/abort.ts'
import { Cache } from '../lib/cache/cache.ts'
import type { Failure, Store, Versioned } from '../lib/cache/cache-options.ts'
import { Freshness } from '../lib/cache/freshness.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import type { Clock } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { json } from '../lib/http/api/call.ts'
import type { Log } from '../lib/log.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Hostname } from '../model/hostname.ts'
import { CHECKED_COUNTS_FOR, MASTER_CALL_IN_WAKE_WITHIN } from '../model/intervals.ts'
import type { AppName } from '../model/names.ts'
import type { Route } from '../model/route.ts'
import type { LocalStore } from './local-store.ts'
import type { LookupLimit } from './lookup-limit.ts'

type Options = {
  readonly master: MasterClient
  readonly store: LocalStore
  readonly lookups: LookupLimit
  readonly clock: Clock
  readonly log: Log
  /** Called with each hostname whose route has changed or is gone. */
  readonly onChange?: (hostname: Hostname) => void
  /** Called when any route may have changed: it has to be resolved here before it serves again. */
  readonly onDoubt?: () => void
}

const Kept = z.object({ app: RouteSchema, etag: z.string().nullable() })

const USED_WITHIN_MS = 60_000
const MOST_CHECKED = 1_000
const CHECKED_AT_ONCE = 16
const MOST_ROUTES = 100_000
// Short, since people open an app just after they register it. A scan of hostnames asks for each name only once anyway.
const UNKNOWN = { forMs: 2_000, most: 10_000 }

/** The route of each hostname, from the master; see `Cache` for when it asks. After a start without a master, the store serves. */
export class Routes {
  readonly freshness: Freshness
  readonly #options: Options
  readonly #cache: Cache<Hostname, Route>
  readonly #hostsOf = new Map<AppName, Set<Hostname>>()

  constructor(options: Options) {
    const { clock, store, lookups, log } = options
    this.#options = options
    this.freshness = new Freshness(clock, CHECKED_COUNTS_FOR)
    this.#cache = new Cache({
      fetch: (hostname, known) => askFor(options.master, hostname, known),
      failed: (error, hostname, isFirst) => this.#failed(error, hostname, isFirst),
      freshness: this.freshness,
      clock,
      waitMs: MASTER_CALL_IN_WAKE_WITHIN,
      most: MOST_ROUTES,
      store: storeIn(store, log),
      absent: { ...UNKNOWN, error: unknown },
      mayFetch: hostname => lookups.mayLookUp(() => store.get(keyOf(hostname)) !== undefined),
      onChange: (hostname, now, before) => this.#changed(hostname, now, before),
    })
  }

  /** The route, at once if it is known; fails with `host-unknown`, or `master-unreachable` for a hostname that was never seen here. */
  resolve(hostname: Hostname, cancellation: Cancellation): Route | Promise<Route> {
    const route = this.#cache.get(hostname)
    return route instanceof Promise ? orAborted(route, cancellation.signal) : route
  }

  /** The master says that an app has changed: asks about its old and new hostnames. */
  async changed({ app, revision, domains }: AppChange): Promise<void> {
    const hostnames = new Set([...domains, ...(this.#hostsOf.get(app) ?? [])])
    if (revision !== null) await Promise.all([...hostnames].map(hostname => this.#cache.changed(hostname)))
    else
      for (const hostname of hostnames) {
        this.#cache.doubt(hostname)
        if (this.#cache.known(hostname)?.name === app) this.#cache.forget(hostname)
      }
  }

  /** The stream of changes has begun anew. */
  connected(): void {
    this.#options.onDoubt?.()
  }

  /**
   * Asks about the routes in use if the stream of changes is open and silent. If the stream has ended, there is a new one in a moment, or the
   * master is away; until then each use of a route asks.
   */
  async checkUsed(): Promise<void> {
    this.#options.onDoubt?.()
    if (!this.freshness.isOpen) return
    const [first, ...others] = this.#cache.usedWithin(USED_WITHIN_MS).slice(-MOST_CHECKED)
    // A master that does not answer for one route does not answer for the others.
    if (first === undefined || !(await this.#cache.changed(first))) return
    await mapAtMost(CHECKED_AT_ONCE, others, hostname => this.#cache.changed(hostname))
  }

  #failed(error: unknown, hostname: Hostname, isFirst: boolean): Failure {
    if (isFailure(error, 'host-unknown')) return 'gone'
    const isAway = isFailure(error, 'master-unreachable', 'storage-unreachable')
    this.#options.log.debug('route not refreshed', { hostname, cause: error })
    return isAway || !isFirst ? 'serve' : 'refused'
  }

  #changed(hostname: Hostname, now: Route | undefined, before: Route | undefined): void {
    if (before !== undefined && before.name !== now?.name) {
      const hosts = this.#hostsOf.get(before.name)
      hosts?.delete(hostname)
      if (hosts?.size === 0) this.#hostsOf.delete(before.name)
    }
    if (now !== undefined) this.#hostsOf.set(now.name, (this.#hostsOf.get(now.name) ?? new Set()).add(hostname))
    if (before !== undefined) this.#options.onChange?.(hostname)
  }
}

async function askFor(
  master: MasterClient,
  hostname: Hostname,
  known: Versioned<Route> | undefined,
): Promise<Versioned<Route> | 'same'> {
  const etag = known?.version ?? null
  const answer = await master.raw('getHost', {
    params: { hostname },
    headers: etag === null ? {} : { 'if-none-match': etag },
  })
  if (answer.status === 304) {
    answer.body.resume()
    return 'same'
  }
  return { value: RouteSchema.parse(await json(answer)), version: answer.headers.etag ?? null }
}

const storeIn = (store: LocalStore, log: Log): Store<Hostname, Route> => ({
  read: hostname => {
    const kept = Kept.safeParse(store.get(keyOf(hostname)))
    if (!kept.success) return undefined
    const { app, etag } = kept.data
    log.info('route served from memory', { hostname, app: app.name })
    return { value: app, version: etag }
  },
  keep: (hostname, { value: app, version: etag }) => store.set(keyOf(hostname), { app, etag }),
  forget: hostname => {
    // A read is cheap, but the removal of a row costs a write even where there is none.
    if (store.get(keyOf(hostname)) !== undefined) store.forget(keyOf(hostname))
  },
})

const keyOf = (hostname: Hostname): string => `route/${hostname}`
const unknown = (hostname: Hostname): ShadowError =>
  new ShadowError('host-unknown', `no app has the hostname ${hostname}`, { hint: 'shadow ps' })
