import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { AppName } from '../../model/names.ts'
import type { ChangeStream } from '../change-stream.ts'
import type { Storage } from '../storage/storage.ts'
import { factsOf, storedFacts } from './app-facts.ts'
import type { OverviewIndex } from './overview-index.ts'

const PREFIX = 'apps/'
const AT_ONCE = 64

type Parts = {
  readonly storage: Pick<Storage, 'list' | 'get'>
  readonly changes: Pick<ChangeStream, 'listen'>
  readonly index: OverviewIndex
  readonly log: Log
}

/** Keeps the facts of all apps in the index: it reads all documents once, and from then on those that the journal says have changed. */
export class AppFeed implements Disposable {
  readonly #parts: Parts
  readonly #listening: Disposable
  /** Apps that have changed while all are being read: what was read of them may be older. */
  readonly #changed = new Set<AppName>()
  #reading: Promise<void> | undefined
  #isReadAgain = false

  constructor(parts: Parts) {
    this.#parts = parts
    const { changes, index } = parts
    this.#listening = changes.listen({
      changed: app => {
        this.#changed.add(app.name)
        index.setApp(factsOf(app))
      },
      removed: app => {
        this.#changed.add(app)
        index.removeApp(app)
      },
      restart: () => {
        this.#isReadAgain = true
        this.read().catch(cause => parts.log.warn('apps not read again for the overview', { cause }))
      },
    })
  }

  /** Reads all apps; callers that come meanwhile share it. */
  read(): Promise<void> {
    this.#reading ??= this.#readAll().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #readAll(): Promise<void> {
    const { storage, index } = this.#parts
    do {
      this.#isReadAgain = false
      this.#changed.clear()
      const keys = await storage.list(PREFIX)
      const names = new Set<AppName>()
      await mapAtMost(AT_ONCE, keys, async key => {
        const facts = storedFacts((await storage.get(key))?.value)
        if (facts === undefined) return
        names.add(facts.app)
        if (!this.#changed.has(facts.app)) index.setApp(facts)
      })
      for (const app of this.#changed) if (index.factsOf(app) !== undefined) names.add(app)
      index.keepApps(names)
    } while (this.#isReadAgain)
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]()
  }
}
