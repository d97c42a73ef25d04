import { z } from 'zod'
import { admin, appParams, type Call } from './call-shape.ts'
import { NewScheduleSchema, ScheduleRunSchema, ShownScheduleSchema } from './schedule-schemas.ts'

/** The calls about what happens to an app at given times. */
export const scheduleCalls = {
  addSchedule: {
    says: 'add a schedule: at the times of a cron expression the app is woken and kept awake, or gets a request, or a command is run in its container; each time is for one run, over any number of masters',
    params: appParams,
    body: NewScheduleSchema,
    answer: ShownScheduleSchema,
    status: 201,
    may: admin,
  },
  listSchedules: {
    says: 'list the schedules of an app, with their next times and their last runs',
    params: appParams,
    answer: z.object({ items: z.array(ShownScheduleSchema) }),
    may: admin,
  },
  runSchedule: {
    says: 'do now what a schedule does at its times, and wait until it is done; its times stay as they are',
    params: appParams.extend({ schedule: z.string().max(50) }),
    answer: ScheduleRunSchema,
    may: admin,
  },
  removeSchedule: {
    says: 'remove a schedule; a run under way goes on',
    params: appParams.extend({ schedule: z.string().max(50) }),
    answer: 'nothing',
    may: admin,
  },
} satisfies Record<string, Call>
