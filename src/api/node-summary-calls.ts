import { z } from 'zod'
import { HOLD_KINDS, PHASES, STOP_REASONS } from '../model/instance.ts'
import type { InstanceSummary } from '../model/instance-summary.ts'
import { admin, type Call } from './call-shape.ts'
import { AppNameSchema, described, InstanceIdSchema, NodeNameSchema } from './schemas.ts'

const InstanceSummarySchema = described<InstanceSummary>(
  z.object({
    app: AppNameSchema,
    instance: InstanceIdSchema,
    node: NodeNameSchema,
    phase: z.enum(PHASES),
    since: z.iso.datetime(),
    revision: z.int(),
    waiting: z.int(),
    sleepsAt: z.iso.datetime().nullable(),
    wokenBy: z.string().nullable(),
    stoppedBy: z.enum(STOP_REASONS).nullable(),
    failures: z.int(),
    held: z.array(z.string()),
    uses: z.int(),
    use: z.object({ kind: z.enum(HOLD_KINDS), what: z.string() }).nullable(),
    problem: z.object({ code: z.string(), detail: z.string() }).nullable(),
    frozenBy: z.enum(STOP_REASONS).optional(),
    parked: z.literal(true).optional(),
    atWork: z.string().optional(),
    kept: z.string().optional(),
    volume: z.object({ usedBytes: z.number(), sizeBytes: z.number() }).optional(),
  }),
  'InstanceSummary',
)

/** The call of a node by which masters follow its instances for lists of apps. */
export const nodeSummaryCalls = {
  listSummaries: {
    says: 'what has changed of the instances since a version; all of them without a version, or with one that is too old; if nothing has changed, it waits so long for a change',
    query: z.strictObject({
      since: z.string().max(100).optional(),
      waitMs: z.coerce.number().int().min(0).max(30_000).default(0),
    }),
    answer: z.object({
      version: z.string(),
      isWhole: z.boolean(),
      items: z.array(InstanceSummarySchema).readonly(),
      gone: z.array(InstanceIdSchema).readonly(),
    }),
    may: admin,
  },
} satisfies Record<string, Call>
