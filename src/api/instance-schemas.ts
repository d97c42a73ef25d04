import { z } from 'zod'
import { HOLD_KINDS, type InstanceView, PHASES, STOP_REASONS, WAKE_STEPS } from '../model/instance.ts'
import { WAKE_STAGES } from '../model/wake-progress.ts'
import { connectionViewFields } from './companion-schemas.ts'
import { refusalFields } from './egress-schemas.ts'
import { ProblemSchema } from './problem-schema.ts'
import { releasesOf } from './rollout-schemas.ts'
import { AppNameSchema, described, InstanceIdSchema, NodeNameSchema, VolumeUseSchema } from './schemas.ts'
import { AtWorkSchema, DrySleepsSchema, NotWokenSchema, tierViewFields } from './wake-schemas.ts'

/** What fronts get while they follow a wake. */
export const PhaseSchema = z.object({
  app: AppNameSchema,
  phase: z.enum(PHASES),
  stage: z.enum(WAKE_STAGES).optional().describe('how far the wake is'),
  ms: z.number().optional().describe('for how long the wake has been under way'),
})

export const InstanceSchema = described<InstanceView>(
  z.object({
    app: AppNameSchema,
    instance: InstanceIdSchema,
    node: NodeNameSchema,
    phase: z.enum(PHASES),
    since: z.iso.datetime(),
    revision: z.int(),
    waiting: z.int(),
    holds: z.array(
      z.object({
        kind: z.enum(HOLD_KINDS),
        what: z.string(),
        since: z.iso.datetime(),
        until: z.iso.datetime().optional().describe('when it ends by itself'),
        isIgnored: z.boolean().optional(),
      }),
    ),
    sleepsAt: z.iso.datetime().nullable(),
    ...tierViewFields,
    wokenBy: z.string().nullable(),
    stoppedBy: z.enum(STOP_REASONS).nullable(),
    lastWake: z.object({ ms: z.number(), steps: z.partialRecord(z.enum(WAKE_STEPS), z.number()) }).nullable(),
    notWoken: z.array(NotWokenSchema).optional().describe('requests that did not wake it since its node started'),
    refusedWakes: z.object({ at: z.iso.datetime(), count: z.int() }).nullable().default(null),
    rejected: z.object({ revision: z.int(), problem: ProblemSchema }).nullable().optional(),
    memoryKill: z.object({ at: z.iso.datetime(), count: z.int() }).nullable().default(null),
    badAnswer: z.object({ at: z.iso.datetime(), fault: z.string(), count: z.int() }).nullable().default(null),
    held: z.array(z.string()),
    problem: ProblemSchema.nullable(),
    failures: z.int(),
    retryAt: z.iso.datetime().nullable(),
    container: z.object({ id: z.string(), address: z.string() }).nullable(),
    volume: VolumeUseSchema.optional(),
    diskBytes: z.number().optional(),
    ...refusalFields,
    drain: z.object({ stopMs: z.number(), updateMs: z.number() }).optional(),
    cut: z.int().optional(),
    atWork: AtWorkSchema.optional().describe('why it is awake though nobody uses it'),
    drySleeps: DrySleepsSchema.optional().describe('sleeps that a dry run left out since its node started'),
    ...releasesOf(ProblemSchema),
    ...connectionViewFields,
    kept: z.object({ until: z.iso.datetime(), why: z.string() }).optional().describe('a front keeps it awake'),
  }),
  'Instance',
)
