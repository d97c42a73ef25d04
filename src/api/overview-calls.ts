import { z } from 'zod'
import { type AppRow, MOST_ROWS, ROW_FLAGS, ROW_PHASES, ROW_SORTS, type RowCounts } from '../model/overview.ts'
import { admin, type Call } from './call-shape.ts'
import { AppNameSchema, described, NodeNameSchema } from './schemas.ts'

/** A form sends a field that is empty as an empty text. */
const given = <T extends z.ZodType<unknown, string>>(schema: T) =>
  z.preprocess(value => (value === '' ? undefined : value), schema.optional())

const AppRowSchema = described<AppRow>(
  z.object({
    app: AppNameSchema,
    owner: z.string().nullable().describe('whose tokens are for the app; null: nobody’s'),
    phase: z
      .enum(ROW_PHASES)
      .describe('asleep, too, if no node has an instance; unknown: the node that has it does not answer'),
    isPaused: z.boolean().describe('nothing wakes it until it is resumed'),
    isParked: z.boolean().describe('it is asleep, and a container waits for its next wake'),
    since: z.iso.datetime().nullable(),
    node: NodeNameSchema.nullable(),
    instances: z.int(),
    awake: z.int().describe('how many instances are awake'),
    url: z.string().nullable(),
    sleepsAt: z.iso.datetime().nullable(),
    because: z.string().nullable().describe('why it is in this phase, in a sentence'),
    lastCause: z.string().nullable().describe('what woke it, or why it was stopped'),
    revision: z.int(),
    volume: z.object({ sizeBytes: z.number(), usedBytes: z.number().nullable() }).nullable(),
    problem: z.object({ code: z.string(), detail: z.string() }).nullable(),
    month: z
      .object({ awakeSeconds: z.number(), cost: z.number().nullable(), alwaysOnCost: z.number().nullable() })
      .nullable()
      .describe('this month (of UTC); at most a minute behind what nodes have reported'),
  }),
  'AppRow',
)

const counts = Object.fromEntries(['all', ...ROW_FLAGS, ...ROW_PHASES].map(name => [name, z.int()]))
const RowCountsSchema = described<RowCounts>(z.object(counts), 'RowCounts')

/** The calls about all apps at a glance, for the dashboard. */
export const overviewCalls = {
  getOverview: {
    says: 'the apps at a glance, page by page; search: a part of the name, a domain, the owner or the node; phase: a phase, or paused, parked, problem or session (sessions are left out otherwise, unless search has --); sort awake: by the time awake this month; counts: all apps that the caller may see, whatever was asked for, and how many sessions; silent: nodes that do not answer',
    query: z.strictObject({
      search: given(z.string().max(200)),
      phase: given(z.enum([...ROW_PHASES, ...ROW_FLAGS])),
      owner: given(z.string().max(100)),
      node: given(NodeNameSchema),
      sort: given(z.enum(ROW_SORTS)),
      order: given(z.enum(['asc', 'desc'])),
      offset: z.coerce.number().int().min(0).default(0),
      limit: z.coerce.number().int().min(0).max(MOST_ROWS).default(50),
    }),
    answer: z.object({
      items: z.array(AppRowSchema),
      total: z.int().describe('how many apps match'),
      counts: RowCountsSchema,
      owners: z.array(z.string()),
      nodes: z.array(z.string()),
      silent: z.array(NodeNameSchema),
      currency: z.string().nullable(),
    }),
    may: admin,
  },
  followOverview: {
    says: 'follow the apps at a glance: server-sent events {rows} that have changed, {removed} names, and {counts, silent}, with which it begins; app: of one app alone; a page that connects again reads getOverview again',
    query: z.strictObject({ app: given(AppNameSchema) }),
    answer: 'stream',
    may: admin,
  },
} satisfies Record<string, Call>

/** One event of `followOverview`. */
export type OverviewEvent =
  | { readonly rows: readonly AppRow[] }
  | { readonly removed: readonly string[] }
  | { readonly counts: RowCounts; readonly silent: readonly string[] }
