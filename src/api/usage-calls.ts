import { z } from 'zod'
import { boundsOfMonth, dayOf, USAGE_COUNTERS, type UsageCounters } from '../model/usage.ts'
import { admin, type Call } from './call-shape.ts'
import { AppNameSchema, NodeNameSchema } from './schemas.ts'

const SAYS: Readonly<Record<keyof UsageCounters, string>> = {
  awakeSeconds: 'how long its containers ran, each counted',
  memoryGiBSeconds: 'the memory that it reserves, for as long as its containers ran',
  cpuSeconds: 'processor time',
  volumeGiBHours: 'what its volume takes of storage, awake and asleep',
  backupGiBHours: 'what its backups take of the store',
  requests: 'requests and WebSockets that it was given',
  egressBytes: 'what its containers sent',
}

const counters = Object.fromEntries(
  USAGE_COUNTERS.map(name => [name, z.number().min(0).describe(SAYS[name])]),
) as Record<keyof UsageCounters, z.ZodNumber>

export const UsageCountersSchema = z.object(counters).meta({ id: 'UsageCounters' })

const isDay = (text: string): boolean =>
  /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && dayOf(Date.parse(text)) === text
const UsageDaySchema = z.string().refine(isDay, 'must be a day, such as 2026-12-31')
const UsageMonthSchema = z
  .string()
  .refine(text => /^\d{4}-\d\d$/.test(text) && isDay(`${text}-01`), 'must be a month, such as 2026-12')
  .refine(text => !Number.isNaN(boundsOfMonth(text).from), 'must be a month, such as 2026-12')

const AppUsageSchema = z
  .object({
    app: AppNameSchema,
    owner: z.string().nullable().describe('whose tokens are for the app; null: nobody’s'),
    ...counters,
    alwaysOn: z
      .object({ awakeSeconds: z.number(), memoryGiBSeconds: z.number() })
      .nullable()
      .describe('what it would have been if the app had never slept in that time; null: the app was removed'),
    cost: z.number().nullable().describe('by the prices of the masters; null: there are none'),
    alwaysOnCost: z.number().nullable(),
  })
  .meta({ id: 'AppUsage' })

/** The calls about what apps have used. */
export const usageCalls = {
  reportUsage: {
    says: 'what the apps of a node have used on one day so far, by counters that only grow; repeated or late, it changes nothing; counter names the counters, which begin at zero',
    params: z.strictObject({ node: NodeNameSchema }),
    body: z.strictObject({
      counter: z.uuid(),
      apps: z.array(z.strictObject({ day: UsageDaySchema, app: AppNameSchema, used: z.object(counters) })).max(1_000),
    }),
    answer: 'nothing',
    may: ['admin', 'node'],
  },
  getUsage: {
    says: 'what apps have used in a month (of UTC; left out: this one), beside what they would have used if they had never slept; until: up to when it is counted',
    query: z.strictObject({ month: UsageMonthSchema.optional(), app: AppNameSchema.optional() }),
    answer: z.object({
      month: z.string(),
      from: z.iso.datetime(),
      until: z.iso.datetime(),
      items: z.array(AppUsageSchema),
      currency: z.string().nullable(),
    }),
    may: admin,
  },
} satisfies Record<string, Call>
