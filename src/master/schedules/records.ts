import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { NewScheduleSchema } from '../../api/schedule-schemas.ts'
import { ScheduleSchema } from '../../api/schedule-schemas.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { cronTimes } from '../../lib/cron.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import { MOST_RUNS, MOST_SCHEDULES, type Schedule, type ScheduleRun } from '../../model/schedule.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'

/** `createdAt` is that of the app: one that was removed and registered again has none of these schedules. */
const StoredSchema = z.object({ app: z.string(), createdAt: z.string(), items: z.array(ScheduleSchema) })
type Stored = z.output<typeof StoredSchema>
type Named = Pick<App, 'name' | 'createdAt'>

/** The app of such a document; undefined for any other key. */
export const appOfSchedules = (key: string): AppName | undefined =>
  key.startsWith(PREFIX) ? (key.slice(PREFIX.length, -'.json'.length) as AppName) : undefined

type ReadSchedules = { readonly etag: string; readonly createdAt: string; readonly items: readonly Schedule[] }
export type ScheduleRecords = ReturnType<typeof scheduleRecords>

const PREFIX = 'schedules/'
const PAGE = 1_000

/** The key of the document with the schedules of the app. */
export const scheduleKey = (app: AppName): string => `${PREFIX}${app}.json`

/** The schedules of apps with their last runs, in `schedules/<app>.json`. */
export function scheduleRecords({ storage, clock }: { storage: Storage; clock: Clock }) {
  const read = async (app: AppName): Promise<{ value: Stored | undefined; etag: string | undefined }> => {
    const stored = await storage.get(scheduleKey(app))
    return { value: stored && StoredSchema.parse(stored.value), etag: stored?.etag }
  }

  /** Writes what `next` makes of the schedules; undefined: nothing is to be written. */
  const change = <T>(
    { name, createdAt }: Named,
    next: (items: readonly Schedule[]) => { readonly items: readonly Schedule[]; readonly value: T } | undefined,
  ): Promise<T | undefined> =>
    retryOnConflict(async () => {
      const { value, etag } = await read(name)
      const then = next(value?.createdAt === createdAt ? value.items : [])
      if (then === undefined) return undefined
      const document = { app: name, createdAt, items: then.items }
      await (etag === undefined
        ? storage.create(scheduleKey(name), document)
        : storage.update(scheduleKey(name), document, etag))
      return then.value
    })

  return {
    async list({ name, createdAt }: Named): Promise<readonly Schedule[]> {
      const { value } = await read(name)
      return value?.createdAt === createdAt ? value.items : []
    },

    /** Fails with `bad-input` for a cron expression or a time zone that is none, and where there are too many. */
    async add(app: Named, asked: z.output<typeof NewScheduleSchema>): Promise<Schedule> {
      cronTimes(asked.cron, asked.zone)
      const created: Schedule = {
        ...asked,
        id: randomBytes(4).toString('hex'),
        createdAt: timestamp(clock),
        lastTick: null,
        runs: [],
      }
      await change(app, items => {
        if (items.length >= MOST_SCHEDULES)
          throw new ShadowError('bad-input', `${app.name} has ${items.length} schedules, which is the most`)
        return { items: [...items, created], value: created }
      })
      return created
    },

    async remove(app: Named, id: string): Promise<void> {
      await change(app, items => {
        if (!items.some(one => one.id === id)) throw noSchedule(app, id)
        return { items: items.filter(one => one.id !== id), value: undefined }
      })
    },

    /**
     * Takes the run for this time. Of all masters that try, one gets it: the write is conditional, and who comes later finds the time taken.
     * Returns false for the others.
     */
    async take(app: Named, id: string, run: ScheduleRun): Promise<boolean> {
      const taken = await change(app, items => {
        const schedule = items.find(one => one.id === id)
        if (schedule === undefined) return undefined
        if (schedule.lastTick !== null && schedule.lastTick >= run.tick) return undefined
        const runs = [run, ...schedule.runs].slice(0, MOST_RUNS)
        return { items: replaced(items, { ...schedule, lastTick: run.tick, runs }), value: true }
      })
      return taken === true
    },

    /** Adds a run that somebody asked for, and returns its schedule; fails with `not-found`. */
    async begin(app: Named, id: string, run: ScheduleRun): Promise<Schedule> {
      const begun = await change(app, items => {
        const schedule = items.find(one => one.id === id)
        if (schedule === undefined) throw noSchedule(app, id)
        const runs = [run, ...schedule.runs].slice(0, MOST_RUNS)
        return { items: replaced(items, { ...schedule, runs }), value: schedule }
      })
      return begun as Schedule
    },

    /** Records how the run for this time ended. */
    async ended(app: Named, id: string, tick: string, end: Partial<ScheduleRun>): Promise<void> {
      await change(app, items => {
        const schedule = items.find(one => one.id === id)
        if (schedule === undefined) return undefined
        const runs = schedule.runs.map(run =>
          run.tick === tick && run.outcome === 'running' ? { ...run, ...end, endedAt: timestamp(clock) } : run,
        )
        return { items: replaced(items, { ...schedule, runs }), value: true }
      })
    },

    /** The versions of all documents, by the names of their apps. */
    async versions(): Promise<ReadonlyMap<AppName, string>> {
      const found = new Map<AppName, string>()
      for (let after: string | undefined; ; ) {
        const page = await storage.versions(PREFIX, { after, limit: PAGE })
        for (const [key, etag] of page) found.set(key.slice(PREFIX.length, -'.json'.length) as AppName, etag)
        if (page.size < PAGE) return found
        after = [...page.keys()].at(-1)
      }
    },

    /** The document of an app, whichever app of its name it is of, with its version. */
    async read(app: AppName): Promise<ReadSchedules | undefined> {
      const { value, etag } = await read(app)
      return value && etag !== undefined ? { createdAt: value.createdAt, items: value.items, etag } : undefined
    },
  }
}

const replaced = (items: readonly Schedule[], by: Schedule): readonly Schedule[] =>
  items.map(one => (one.id === by.id ? by : one))

const noSchedule = ({ name }: Named, id: string): ShadowError =>
  new ShadowError('not-found', `${name} has no schedule ${id}`, { hint: `shadow schedule ls ${name}` })
