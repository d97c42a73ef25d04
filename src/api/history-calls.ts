import { z } from 'zod'
import { WAKE_STEPS } from '../model/instance.ts'
import { type AppName, appName } from '../model/names.ts'
import { type AppEvent, EVENT_KINDS, type EventCursor, parseCursor } from '../model/timeline.ts'
import { admin, appParams, type Call } from './call-shape.ts'
import { AppNameSchema, described, InstanceIdSchema, NodeNameSchema } from './schemas.ts'

const MOST_APPS = 200
const MOST_EVENTS = 500
const MOST_POINTS = 1_000

export const AppEventSchema = described<AppEvent>(
  z.object({
    id: z.string(),
    at: z.iso.datetime(),
    kind: z.enum(EVENT_KINDS),
    instance: InstanceIdSchema.optional(),
    node: NodeNameSchema.optional(),
    revision: z.int().optional(),
    by: z.string().optional().describe('the cause of a wake, the reason of a sleep, who or what made a release'),
    outcome: z.enum(['ok', 'failed']).optional(),
    ms: z.number().optional().describe('how long it took'),
    steps: z
      .array(
        z.object({
          step: z.enum(WAKE_STEPS),
          startMs: z.number().describe('since the start of the wake; several steps run side by side'),
          ms: z.number(),
        }),
      )
      .optional()
      .describe('of a wake'),
    detail: z.string().optional(),
    code: z.string().optional().describe('of a problem'),
  }),
  'AppEvent',
)

const CursorSchema = z
  .string()
  .max(300)
  .transform((text, context): EventCursor => {
    const cursor = parseCursor(text)
    if (cursor !== undefined) return cursor
    context.addIssue({ code: 'custom', message: 'must be the next of an earlier page' })
    return z.NEVER
  })
  .meta({ override: { type: 'string' } })

const KindsSchema = z
  .string()
  .max(200)
  .transform(text => text.split(','))
  .pipe(z.array(z.enum(EVENT_KINDS)))
  .meta({ override: { type: 'string' } })
  .describe(`kinds with commas between them, of ${EVENT_KINDS.join(', ')}; left out: all`)

const eventsQuery = z.strictObject({
  before: CursorSchema.optional().describe('next of the page before; left out: the newest'),
  limit: z.coerce.number().int().min(1).max(MOST_EVENTS).default(50),
  kind: KindsSchema.optional(),
})

const AppsSchema = z
  .string()
  .max(MOST_APPS * 64)
  .transform((text, context): readonly AppName[] => {
    const names = [...new Set(text.split(',').filter(name => name !== ''))]
    if (names.length > MOST_APPS) context.addIssue({ code: 'custom', message: `has more than ${MOST_APPS} apps` })
    return names.map(name => appName(name))
  })
  .meta({ override: { type: 'string' } })
  .describe(`names with commas between them, at most ${MOST_APPS}`)

const values = (says: string) => z.array(z.number().nullable()).describe(says)

export const historyCalls = {
  getTimeline: {
    says: 'list what happened to an app, the newest first: wakes with their steps, sleeps, crashes and problems, which nodes keep for 30 days, and releases, snapshots, backups, restores and moves; silent: nodes that did not answer, whose events are missing; wakes nothing',
    params: appParams,
    query: eventsQuery,
    answer: z.object({
      items: z.array(AppEventSchema),
      next: z.string().nullable().describe('before of the next page; null: there is none'),
      silent: z.array(NodeNameSchema),
    }),
    may: admin,
  },
  getSeries: {
    says: 'read what an app was given and used over time, over all its instances and nodes: arrays of equal length, null where nothing was measured; steps of 10 s within the last hour, of a minute within a day, of an hour within a month, or longer; wakes nothing',
    params: appParams,
    query: z.strictObject({
      from: z.iso.datetime({ offset: true }).optional().describe('left out: an hour before to'),
      to: z.iso.datetime({ offset: true }).optional().describe('left out: now'),
      points: z.coerce.number().int().min(2).max(MOST_POINTS).default(120).describe('at most so many steps'),
    }),
    answer: z.object({
      from: z.iso.datetime(),
      to: z.iso.datetime(),
      stepSeconds: z.int(),
      times: z.array(z.int()).describe('the start of each step, in seconds since 1970'),
      requests: values('requests and WebSockets that the app was given in the step'),
      errors: values('answers from 500 on, and requests that the app left without an answer'),
      p50Ms: values('until the first byte of an answer; a wait for the wake is not counted'),
      p95Ms: values('as p50Ms'),
      memoryBytes: values('the most that was in use'),
      cpuPercent: values('of one processor, while it was awake'),
      awake: z.array(z.number()).describe('which share of the step it was awake, from 0 to 1'),
      silent: z.array(NodeNameSchema),
    }),
    may: admin,
  },
  getActivity: {
    says: 'tell for each hour of the last week (168, the last of which is the hour now) which share of it each of these apps was awake; wakes nothing',
    query: z.strictObject({ apps: AppsSchema }),
    answer: z.object({
      from: z.iso.datetime().describe('the start of the first hour'),
      items: z.array(
        z.object({
          app: AppNameSchema,
          hours: z.array(z.number()).describe('from 0 to 1; the hour now: of what has passed of it'),
        }),
      ),
      silent: z.array(NodeNameSchema),
    }),
    may: admin,
  },
} satisfies Record<string, Call>

/** Whole seconds since 1970. */
const seconds = z.coerce.number().int().min(0)

export const SeriesStepSchema = z.object({
  at: z.int().describe('the start of the step, in seconds since 1970'),
  awakeMs: z.number(),
  requests: z.number(),
  errors: z.number(),
  latency: z.record(z.string(), z.number()).describe('how many answers began so late, by bucket'),
  cpuMs: z.number(),
  memoryBytes: z.number().describe('0: it was not read'),
})

export const nodeHistoryCalls = {
  listEvents: {
    says: 'list what happened to the instances of an app on this node, the newest first',
    params: appParams,
    query: eventsQuery.extend({
      limit: z.coerce
        .number()
        .int()
        .min(1)
        .max(MOST_EVENTS + 1),
    }),
    answer: z.object({ items: z.array(AppEventSchema) }),
    may: admin,
  },
  readSeries: {
    says: 'read what an app was given and used on this node, of the steps in which something was measured',
    params: appParams,
    query: z.strictObject({ from: seconds, to: seconds, stepSeconds: z.coerce.number().int().min(10) }),
    answer: z.object({ items: z.array(SeriesStepSchema) }),
    may: admin,
  },
  readActivity: {
    says: 'tell for how many milliseconds of each hour from then on these apps were awake on this node',
    query: z.strictObject({ apps: AppsSchema, from: seconds.describe('the start of an hour') }),
    answer: z.object({ items: z.array(z.object({ app: AppNameSchema, hours: z.array(z.number()) })) }),
    may: admin,
  },
} satisfies Record<string, Call>
