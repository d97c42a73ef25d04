import type { AppName } from '../../model/names.ts'
import type { Schedule } from '../../model/schedule.ts'
import type { Apps } from '../apps.ts'
import type { Handlers } from '../call.ts'
import { nextOf } from './due.ts'
import { type ScheduleRecords, scheduleKey } from './records.ts'
import type { ScheduleTicker } from './ticker.ts'

type Parts = {
  readonly apps: Pick<Apps, 'find'>
  readonly schedules: ScheduleRecords
  readonly ticker: Pick<ScheduleTicker, 'changed' | 'runNow'>
  /** Tells all masters that this document has changed. */
  readonly announce: (key: string) => void
  readonly wall: () => number
}

/** The handlers of the calls about schedules. */
export function scheduleHandlers({
  apps,
  schedules,
  ticker,
  announce,
  wall,
}: Parts): Pick<Handlers, 'addSchedule' | 'listSchedules' | 'runSchedule' | 'removeSchedule'> {
  const tell = (app: AppName): void => {
    ticker.changed(app)
    announce(scheduleKey(app))
  }
  const shown = (schedule: Schedule) => {
    const next = nextOf(schedule, wall())
    return { ...schedule, next: next === undefined ? null : new Date(next).toISOString() }
  }
  return {
    addSchedule: async ({ params, body }) => {
      const { app } = await apps.find(params.app)
      const added = await schedules.add(app, body)
      tell(app.name)
      return { value: shown(added) }
    },
    listSchedules: async ({ params }) => {
      const { app } = await apps.find(params.app)
      return { value: { items: (await schedules.list(app)).map(shown) } }
    },
    runSchedule: async ({ params }) => {
      const { app } = await apps.find(params.app)
      try {
        return { value: await ticker.runNow(app, params.schedule) }
      } finally {
        tell(app.name)
      }
    },
    removeSchedule: async ({ params }) => {
      const { app } = await apps.find(params.app)
      await schedules.remove(app, params.schedule)
      tell(app.name)
    },
  }
}
