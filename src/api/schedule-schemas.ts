import { z } from 'zod'
import { toMs } from '../model/quantities.ts'
import { LONGEST_KEPT_MS, LONGEST_RUN_MS, RUN_OUTCOMES, SCHEDULE_DEFAULTS, type Schedule } from '../model/schedule.ts'
import { DurationSchema, described } from './schemas.ts'
import { CommandWordsSchema } from './wake-schemas.ts'

const upTo = (most: number, shown: string) =>
  DurationSchema.refine(value => toMs(value) >= 1_000 && toMs(value) <= most, { error: `must be 1s to ${shown}` })

const path = z
  .string()
  .max(2_000)
  .regex(/^\/[\x21-\x7e]*$/, 'must begin with / and have no spaces')

const ActionSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('wake'),
    for: upTo(LONGEST_KEPT_MS, '24h').default(SCHEDULE_DEFAULTS.for as never),
    ahead: upTo(LONGEST_RUN_MS, '1h').optional().describe('so long before each time it is woken'),
  }),
  z.strictObject({ kind: z.literal('request'), path }),
  z
    .strictObject({ kind: z.literal('command'), command: CommandWordsSchema })
    .describe('run in the container of the app'),
])

export const NewScheduleSchema = z
  .strictObject({
    cron: z.string().min(1).max(100).describe('minute, hour, day, month and weekday'),
    zone: z.string().max(100).default(SCHEDULE_DEFAULTS.zone).describe('a time zone of the IANA database'),
    action: ActionSchema,
    within: upTo(LONGEST_RUN_MS, '1h')
      .default(SCHEDULE_DEFAULTS.within as never)
      .describe('how long a run may take'),
  })
  .meta({ id: 'NewSchedule' })

export const ScheduleRunSchema = z.object({
  tick: z.iso.datetime(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
  outcome: z.enum(RUN_OUTCOMES),
  status: z.int().optional(),
  exitCode: z.int().optional(),
  byHand: z.literal(true).optional(),
  detail: z.string().optional(),
  lastLines: z.string().optional(),
  missed: z.int().optional(),
})

const stored = {
  id: z.string(),
  cron: z.string(),
  zone: z.string(),
  action: ActionSchema,
  within: DurationSchema,
  createdAt: z.iso.datetime(),
  lastTick: z.iso.datetime().nullable(),
  runs: z.array(ScheduleRunSchema),
}
export const ScheduleSchema = described<Schedule>(z.object(stored), 'Schedule')
/** With its next time. */
export const ShownScheduleSchema = described<Schedule & { readonly next: string | null }>(
  z.object({ ...stored, next: z.iso.datetime().nullable() }),
  'ShownSchedule',
)

/** What a node is asked to do for a schedule. */
export const ScheduledRunSchema = z.strictObject({
  what: z.string().max(200).describe('for shadow why'),
  withinMs: z.int().min(1_000).max(LONGEST_RUN_MS),
  action: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('request'), path }),
    z.strictObject({ kind: z.literal('command'), command: CommandWordsSchema }),
  ]),
})
export const RunResultSchema = z.object({
  status: z.int().optional().describe('of the answer'),
  exitCode: z.int().optional().describe('of the command'),
  lastLines: z.string(),
})
