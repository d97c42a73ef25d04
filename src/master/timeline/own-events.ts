import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { AppEventSchema } from '../../api/history-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { AppName } from '../../model/names.ts'
import type { AppEvent } from '../../model/timeline.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'

const MOST_EVENTS = 100
const LONGEST_DETAIL = 500

const StoredSchema = z.object({ items: z.array(AppEventSchema) })

export type OwnEvents = ReturnType<typeof ownEvents>

/** What masters have done with apps and is recorded nowhere else: moves and restores. The newest of each app are in `events/<app>.json`. */
export function ownEvents({ storage, clock, log }: { storage: Storage; clock: Clock; log: Log }) {
  const keyOf = (app: AppName): string => `events/${app}.json`

  const read = async (app: AppName) => {
    const stored = await storage.get(keyOf(app))
    return { items: stored === undefined ? [] : StoredSchema.parse(stored.value).items, etag: stored?.etag }
  }

  const add = (app: AppName, event: AppEvent): Promise<void> =>
    retryOnConflict(async () => {
      const { items, etag } = await read(app)
      const value = { items: [...items, event].slice(-MOST_EVENTS) }
      await (etag === undefined ? storage.create(keyOf(app), value) : storage.update(keyOf(app), value, etag))
    })

  return {
    /** The oldest first. */
    list: async (app: AppName): Promise<readonly AppEvent[]> => (await read(app)).items,

    /** Does the work, and records how it ended. The event of work that changed nothing is left out: then `eventOf` answers undefined. */
    async record<T>(
      app: AppName,
      work: () => Promise<T>,
      eventOf: (done: T | undefined) => Pick<AppEvent, 'kind' | 'by' | 'detail' | 'node'> | undefined,
    ): Promise<T> {
      const began = clock.now()
      const tell = async (done: T | undefined, failed: Partial<AppEvent>): Promise<void> => {
        const event = eventOf(done)
        if (event === undefined) return
        const at = new Date(clock.wall()).toISOString()
        const ms = clock.now() - began
        await add(app, { id: `master.${randomUUID()}`, at, ...event, outcome: 'ok', ms, ...failed }).catch(cause =>
          log.warn('event of app not recorded', { app, kind: event.kind, cause }),
        )
      }
      try {
        const done = await work()
        await tell(done, {})
        return done
      } catch (error) {
        const { code, message } = asShadowError(error)
        // What was asked for an app that is not there is no event of an app.
        if (!isFailure(error, 'app-not-found', 'bad-input', 'not-found', 'forbidden'))
          await tell(undefined, { outcome: 'failed', code, detail: message.slice(0, LONGEST_DETAIL) })
        throw error
      }
    },

    /** Does the work that removes the app, and forgets what had happened with it. What happens with a later app of the name is kept. */
    async forgetting(app: AppName, work: () => Promise<void>): Promise<void> {
      const had = new Set((await read(app)).items.map(({ id }) => id))
      await work()
      if (had.size === 0) return
      await retryOnConflict(async () => {
        const { items, etag } = await read(app)
        if (etag !== undefined)
          await storage.update(keyOf(app), { items: items.filter(({ id }) => !had.has(id)) }, etag)
      })
    },
  }
}
