import { Freshness } from '../api/change-stream.ts'
import type { MasterClient } from '../api/client.ts'
import { permitHeaders } from '../api/paths.ts'
import { AppSchema } from '../api/schemas.ts'
import { deadline } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { json } from '../lib/http/api/call.ts'
import type { Log } from '../lib/log.ts'
import { Turn } from '../lib/turn.ts'
import type { App } from '../model/app.ts'
import { MASTER_CALL_IN_WAKE_WITHIN } from '../model/intervals.ts'
import type { AppName, VolumeId } from '../model/names.ts'
import { type AppAt, isNewer, versionOf } from '../model/route.ts'
import type { Definitions, Kept } from './definitions.ts'

type Options = {
  master: MasterClient
  definitions: Definitions
  clock: Clock
  log: Log
  /** Told of each definition that is newer than the one before. */
  onNewer: (app: App) => void
  onRemoved: (app: AppName) => void
  /** Told of an app whose volume another node has; whether nothing of it is left here, so that its secrets may go. */
  onElsewhere: (app: AppName) => boolean
}

/**
 * `checkedIn`: the term of the change stream in which it was last known to be the newest. Checks take turns, or the answer to an
 * earlier one could come last. `changes`: how often we were told that it changed; an answer from before such a word is not trusted.
 */
type Entry = {
  app: App
  etag: string | null
  /** What the master wants to see where this node has no lease of the app's volume. */
  permit: string | undefined
  checkedIn: number
  changes: number
  /** When the master was last asked about it, by the clock. */
  askedAt: number
  readonly turn: Turn
  asking?: Promise<App> | undefined
}

const NOT_CHECKED = -1
const NEVER = Number.NEGATIVE_INFINITY
const ASK_AGAIN_AFTER_MS = 1_000

/** The first question about an app, and whether we were told meanwhile that it changed. */
type First = { asking: Promise<App>; changed: boolean }

/**
 * The apps that this node knows. A definition that was checked since the master's stream of changes began is trusted as long as the
 * master goes on to say that it has told all changes; otherwise the master is asked, for no longer than a wake can wait, and the last
 * known definition serves when it is away.
 */
export class Apps {
  readonly #options: Options
  readonly #entries = new Map<AppName, Entry>()
  readonly #firsts = new Map<AppName, First>()
  readonly freshness: Freshness
  #term = 0

  constructor(options: Options) {
    this.#options = options
    this.freshness = new Freshness(options.clock)
  }

  /** Reads what was kept. */
  async load(): Promise<void> {
    for (const [, { app, etag, permit }] of await this.#options.definitions.all())
      this.#entries.set(app.name, {
        app,
        etag,
        permit,
        checkedIn: NOT_CHECKED,
        changes: 0,
        askedAt: NEVER,
        turn: new Turn(),
      })
  }

  get all(): readonly App[] {
    return [...this.#entries.values()].map(({ app }) => app)
  }

  /** Those not checked since the stream of changes began; first those whose check is longest ago. */
  get unchecked(): readonly AppName[] {
    const unchecked = [...this.#entries.values()].filter(({ checkedIn }) => checkedIn !== this.#term)
    return unchecked.sort((a, b) => a.checkedIn - b.checkedIn).map(({ app }) => app.name)
  }

  /** The permit of the app that has the volume. */
  permitOf(volume: VolumeId): string | undefined {
    for (const { app, permit } of this.#entries.values()) if (app.task.volume?.id === volume) return permit
    return undefined
  }

  known(name: AppName): App | undefined {
    return this.#entries.get(name)?.app
  }

  /** The app to serve, where it is known and was checked since the stream of changes began. */
  current(name: AppName, permit?: string): App | undefined {
    const entry = this.#entries.get(name)
    if (entry !== undefined) entry.permit = permit ?? entry.permit
    return this.freshness.isFresh && entry?.checkedIn === this.#term ? entry.app : undefined
  }

  /**
   * The app to serve to somebody who has heard of this version of it, where that one or a newer one is known. An older one is
   * served too, for a moment after the master was asked and did not give a newer one: each request would ask it otherwise.
   */
  at(wanted: AppAt): App | undefined {
    const entry = this.#entries.get(wanted.name)
    if (entry === undefined) return undefined
    entry.permit = wanted.permit ?? entry.permit
    const isOld = isNewer(wanted, versionOf(entry.app))
    return isOld && this.#options.clock.now() - entry.askedAt >= ASK_AGAIN_AFTER_MS ? undefined : entry.app
  }

  /**
   * The app to serve; fails with `app-not-found`, and for one that is not known here with `master-unreachable`, `volume-elsewhere`,
   * or `forbidden` where it was not placed here. `permit`: what front or master have shown for it.
   */
  async resolve(
    wanted: AppAt | AppName,
    permit = typeof wanted === 'string' ? undefined : wanted.permit,
  ): Promise<App> {
    const known = typeof wanted === 'string' ? this.current(wanted) : this.at(wanted)
    if (known !== undefined) return known
    const name = typeof wanted === 'string' ? wanted : wanted.name
    const entry = this.#entries.get(name)
    if (entry === undefined) return this.#askFirst(name, permit)
    entry.permit = permit ?? entry.permit
    entry.asking ??= entry.turn
      .take(() => this.#check(entry))
      .finally(() => {
        entry.asking = undefined
      })
    return entry.asking
  }

  forget(name: AppName): void {
    if (this.#entries.delete(name)) this.#options.definitions.forget(name)
  }

  /** A new stream of changes has begun: what was checked before may have changed in between. */
  connected(): void {
    this.#term++
    this.freshness.opened()
  }

  get isConnected(): boolean {
    return this.freshness.isOpen
  }

  /**
   * Asks the master about an app that is known here; never fails: what is known serves on, a removal is told on. Whether the master
   * has told what is newest.
   */
  async refresh(name: AppName): Promise<boolean> {
    const first = this.#firsts.get(name)
    if (first !== undefined) first.changed = true
    const entry = this.#entries.get(name)
    if (entry === undefined) return true
    entry.checkedIn = NOT_CHECKED
    entry.changes++
    await entry.turn.take(() => this.#check(entry)).catch(() => undefined) // removed: `#check` has told of it
    return entry.checkedIn !== NOT_CHECKED
  }

  /** Asks about an app that serves meanwhile, at most once in ASK_AGAIN_AFTER_MS. */
  checkBehind(name: AppName): void {
    const askedAt = this.#entries.get(name)?.askedAt ?? NEVER
    if (this.#options.clock.now() - askedAt >= ASK_AGAIN_AFTER_MS) void this.resolve(name).catch(() => undefined) // removed: `#check` has told of it
  }

  /** An app that is new here; all who ask at the same time share one call. */
  #askFirst(name: AppName, permit: string | undefined): Promise<App> {
    const asked = this.#firsts.get(name)
    if (asked !== undefined) return asked.asking
    const term = this.#term
    const asking = this.#ask(name, null, permit)
      .then(answer => {
        if (answer === 'same') throw new ShadowError('internal', `the master knows a version of ${name} that we do not`)
        this.#take({ ...answer, permit }, term)
        if (first.changed) void this.refresh(name)
        return answer.app
      })
      .finally(() => this.#firsts.delete(name))
    const first: First = { asking, changed: false }
    this.#firsts.set(name, first)
    return asking
  }

  async #check(entry: Entry): Promise<App> {
    const { name } = entry.app
    const term = this.#term
    const { changes } = entry
    try {
      const { permit } = entry
      const answer = await this.#ask(name, entry.etag, permit)
      if (answer !== 'same') this.#take({ ...answer, permit }, term)
      if (entry.changes === changes) entry.checkedIn = term
    } catch (error) {
      if (isFailure(error, 'app-not-found')) {
        this.#options.onRemoved(name)
        throw error
      }
      if (isFailure(error, 'volume-elsewhere') && this.#options.onElsewhere(name)) {
        this.forget(name)
        throw error
      }
      const code = error instanceof ShadowError ? error.code : undefined
      this.#options.log.debug('app served from its last known definition', { app: name, code })
    }
    entry.askedAt = this.#options.clock.now()
    return entry.app
  }

  /** The master's word is the truth, even where it went back to an older one. */
  #take({ app, etag, permit }: Kept, checkedIn: number): void {
    const entry = this.#entries.get(app.name)
    if (entry === undefined)
      this.#entries.set(app.name, { app, etag, permit, checkedIn, changes: 0, askedAt: NEVER, turn: new Turn() })
    else Object.assign(entry, { app, etag })
    this.#options.definitions.keep(app.name, { app, etag, permit })
    this.#options.onNewer(app)
  }

  async #ask(
    name: AppName,
    etag: string | null,
    permit: string | undefined,
  ): Promise<{ app: App; etag: string | null } | 'same'> {
    using limit = deadline(this.#options.clock, MASTER_CALL_IN_WAKE_WITHIN, () => silent(name))
    const answer = await this.#options.master.raw('getApp', {
      params: { app: name },
      headers: { ...(etag !== null && { 'if-none-match': etag }), ...permitHeaders(permit) },
      signal: limit.signal,
    })
    if (answer.status === 304) {
      answer.body.resume()
      return 'same'
    }
    return { app: AppSchema.parse(await json(answer)), etag: answer.headers.etag ?? null }
  }
}

const silent = (app: AppName): ShadowError =>
  new ShadowError('master-unreachable', `the master did not tell of ${app} within ${MASTER_CALL_IN_WAKE_WITHIN} ms`, {
    retryAfterMs: 1_000,
  })
