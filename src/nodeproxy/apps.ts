import type { MasterClient } from '../api/client.ts'
import { permitHeaders } from '../api/paths.ts'
import { AppSchema } from '../api/schemas.ts'
import { deadline } from '../lib/abort.ts'
import { Cache } from '../lib/cache/cache.ts'
import type { Failure, Versioned } from '../lib/cache/cache-options.ts'
import { Freshness } from '../lib/cache/freshness.ts'
import type { Clock } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { json } from '../lib/http/api/call.ts'
import type { Log } from '../lib/log.ts'
import type { App } from '../model/app.ts'
import { CHECKED_COUNTS_FOR, MASTER_CALL_IN_WAKE_WITHIN, MASTER_CALL_WITHIN } from '../model/intervals.ts'
import type { AppName, VolumeId } from '../model/names.ts'
import type { Definitions } from './definitions.ts'

type Options = {
  master: MasterClient
  definitions: Definitions
  clock: Clock
  log: Log
  /** Called with each new definition. */
  onNewer: (app: App) => void
  /** Called before that, if the one known so far is of an earlier app of the name. */
  onOther: (app: AppName) => void
  onRemoved: (app: AppName) => void
  /** Called for an app whose volume another node has. Returns whether nothing of the app is left here, so that its definition may go. */
  onElsewhere: (app: AppName) => boolean
}

/**
 * The apps that this node knows, from the master; see `Cache` for when it is asked. A wake waits for the master for a moment, and then the
 * last known definition serves.
 */
export class Apps {
  readonly freshness: Freshness
  readonly #options: Options
  readonly #cache: Cache<AppName, App>
  /** What front or master have shown for an app: the master wants to see it where this node has no lease of the app's volume. */
  readonly #permits = new Map<AppName, string>()

  constructor(options: Options) {
    const { clock, definitions } = options
    this.#options = options
    this.freshness = new Freshness(clock, CHECKED_COUNTS_FOR)
    this.#cache = new Cache({
      fetch: (name, known) => this.#fetch(name, known?.version ?? null),
      failed: (error, name, isFirst) => (isFirst ? 'refused' : this.#failed(error, name)),
      freshness: this.freshness,
      clock,
      waitMs: MASTER_CALL_IN_WAKE_WITHIN,
      store: {
        keep: (name, { value: app, version: etag }) =>
          definitions.keep(name, { app, etag, permit: this.#permits.get(name) }),
        forget: name => definitions.forget(name),
      },
      onChange: (name, app, before) => {
        if (app === undefined) return
        if (before !== undefined && before.createdAt !== app.createdAt) options.onOther(name)
        options.onNewer(app)
      },
    })
  }

  /** Reads what was kept. */
  async load(): Promise<void> {
    for (const [name, { app, etag, permit }] of await this.#options.definitions.all()) {
      if (permit !== undefined) this.#permits.set(name, permit)
      this.#cache.load(name, { value: app, version: etag })
    }
  }

  get all(): readonly App[] {
    return this.#cache.all.map(([, app]) => app)
  }

  /** Those not checked since the stream of changes began; first those whose check is longest ago. */
  get unchecked(): readonly AppName[] {
    return this.#cache.unchecked
  }

  /** The permit of the app that has the volume. */
  permitOf(volume: VolumeId): string | undefined {
    const owner = this.#cache.all.find(([, { task }]) => task.volume?.id === volume)
    return owner && this.#permits.get(owner[0])
  }

  /** What front or master have shown for the app. */
  permitOfApp(name: AppName): string | undefined {
    return this.#permits.get(name)
  }

  known(name: AppName): App | undefined {
    return this.#cache.known(name)
  }

  /** The app to serve, where it is known and was checked since the stream of changes began. */
  current(name: AppName, permit?: string): App | undefined {
    if (permit !== undefined && this.#cache.known(name) !== undefined) this.#permits.set(name, permit)
    return this.#cache.fresh(name)
  }

  /**
   * The app to serve; fails with `app-not-found`, and for one that is not known here with `master-unreachable`, `volume-elsewhere`,
   * or `forbidden` where it was not placed here. `permit`: what front or master have shown for it.
   */
  async resolve(name: AppName, permit?: string): Promise<App> {
    const served = this.current(name, permit)
    if (served !== undefined) return served
    if (permit !== undefined) this.#permits.set(name, permit)
    try {
      return await this.#cache.checked(name)
    } finally {
      if (this.#cache.known(name) === undefined) this.#permits.delete(name)
    }
  }

  forget(name: AppName): void {
    this.#cache.forget(name)
    this.#permits.delete(name)
  }

  /** Asks the master about a known app. Resolves with whether the master answered; never fails. If it did not, the last definition serves; a removal calls `onRemoved`. */
  refresh(name: AppName): Promise<boolean> {
    return this.#cache.changed(name)
  }

  /** Asks about an app that serves meanwhile, at most once in FETCH_AGAIN_AFTER_MS. */
  checkBehind(name: AppName): void {
    this.#cache.checkBehind(name)
  }

  #failed(error: unknown, name: AppName): Failure {
    if (isFailure(error, 'app-not-found')) {
      this.#options.onRemoved(name) // it forgets the app once all of it is gone
      return 'refused'
    }
    if (isFailure(error, 'volume-elsewhere') && this.#options.onElsewhere(name)) return 'gone'
    const code = error instanceof ShadowError ? error.code : undefined
    this.#options.log.debug('app served from its last known definition', { app: name, code })
    return 'serve'
  }

  async #fetch(name: AppName, etag: string | null): Promise<Versioned<App> | 'same'> {
    // Without a definition there is nothing to serve meanwhile, so a slow master is waited for.
    const withinMs = etag === null ? MASTER_CALL_WITHIN : MASTER_CALL_IN_WAKE_WITHIN
    using limit = deadline(this.#options.clock, withinMs, () => silent(name, withinMs))
    const answer = await this.#options.master.raw('getApp', {
      params: { app: name },
      headers: { ...(etag !== null && { 'if-none-match': etag }), ...permitHeaders(this.#permits.get(name)) },
      signal: limit.signal,
    })
    if (answer.status === 304) {
      answer.body.resume()
      return 'same'
    }
    return { value: AppSchema.parse(await json(answer)), version: answer.headers.etag ?? null }
  }
}

const silent = (app: AppName, withinMs: number): ShadowError =>
  new ShadowError('master-unreachable', `the master did not tell of ${app} within ${withinMs} ms`, {
    retryAfterMs: 1_000,
  })
