import { z } from 'zod'
import type { MasterClient } from '../../api/client.ts'
import { RouteSchema } from '../../api/schemas.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { KEPT_LISTED_EVERY } from '../../model/intervals.ts'
import type { Route } from '../../model/route.ts'
import type { LocalStore } from '../local-store.ts'

type Options = {
  readonly master: MasterClient
  readonly store: LocalStore
  readonly clock: Clock
  readonly log: Log
  /** Called when there is a new list. */
  readonly onList: () => void
}

const STORE_KEY = 'kept'
const Stored = z.array(RouteSchema)
/** Changes that come in quick succession are looked up together. */
const LISTED_AT_MOST_EVERY_MS = 1_000

/** The apps that a front has to know before a request comes: those of which instances are kept awake, and those with TCP ports. The master lists them, and the store keeps the list for a start without a master. */
export class KeptApps {
  readonly #options: Options
  #listed: readonly Route[]
  #listedAt = Number.NEGATIVE_INFINITY
  #isOld = true

  constructor(options: Options) {
    this.#options = options
    const stored = Stored.safeParse(options.store.get(STORE_KEY))
    this.#listed = stored.success ? stored.data : []
  }

  /** Those of which instances are kept awake. */
  get all(): readonly Route[] {
    return this.#listed.filter(({ scale, paused }) => (scale?.min ?? 0) > 0 && paused === undefined)
  }

  get listed(): readonly Route[] {
    return this.#listed
  }

  /** An app has changed. */
  changed(): void {
    this.#isOld = true
  }

  /** Whether an app has changed since the list was asked for. */
  get isOld(): boolean {
    return this.#isOld
  }

  /** Asks the master, if the list is old; if the master does not answer, the last list stands. */
  refresh(): void {
    const { clock } = this.#options
    const age = clock.now() - this.#listedAt
    if (age < (this.#isOld ? LISTED_AT_MOST_EVERY_MS : KEPT_LISTED_EVERY)) return
    this.#listedAt = clock.now()
    this.#isOld = false
    void this.#list()
  }

  async #list(): Promise<void> {
    const { master, store, log, onList } = this.#options
    try {
      const { items } = await master.call('listKept', {})
      if (items.length > 0 || this.#listed.length > 0) store.set(STORE_KEY, items)
      this.#listed = items
      onList()
    } catch (error) {
      log.debug('kept apps not listed', { code: asShadowError(error).code, cause: error })
    }
  }
}
