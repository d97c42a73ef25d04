import { z } from 'zod'
import { ShadowError } from '../lib/errors.ts'
import type { Network } from '../model/access.ts'
import { KEEP_TIERS, SLEEP_TIERS, STOP_REASONS } from '../model/instance.ts'
import { answerPath, checkedRule, type IgnoreRule, MOST_ANSWERS, MOST_IGNORE_RULES } from '../model/wake-rules.ts'

const orFault = <T>(context: z.core.$RefinementCtx, parse: () => T): T => {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof ShadowError)) throw error
    context.addIssue({ code: 'custom', message: error.message })
    return z.NEVER
  }
}

const rule = {
  path: z.string().optional().describe('the whole path, decoded and without the query; * stands for any characters'),
  agent: z.string().optional().describe('a part of User-Agent, in upper or lower case; * stands for any characters'),
  method: z.string().optional(),
  network: z.string().optional().describe('an IP address or a network of clients'),
}
const IgnoreRuleSchema = z
  .strictObject(rule)
  .transform(
    ({ path, agent, method, network }, context): IgnoreRule =>
      orFault(context, () => checkedRule({ path, agent, method, network })),
  )
  .meta({ id: 'IgnoreRule', description: 'a request matches if all fields match that are there' })

/** Which requests do not wake an app. */
export const WakeRulesSchema = z
  .strictObject({
    ignore: z
      .array(IgnoreRuleSchema)
      .max(MOST_IGNORE_RULES)
      .default([])
      .describe('requests that do not wake the app, and do not keep it awake'),
    answers: z
      .array(
        z
          .string()
          .transform((text, context) => orFault(context, () => answerPath(text)))
          .meta({ override: { type: 'string' } }),
      )
      .max(MOST_ANSWERS)
      .default([])
      .describe('paths, besides /robots.txt and /favicon.ico, whose last answer is given while the app sleeps'),
  })
  .meta({ id: 'WakeRules' })

/** The rules as they are stored: an earlier version may have stored others than are taken now. */
export const StoredWakeRulesSchema = z.object({
  ignore: z.array(
    z.object({
      path: z.string().optional(),
      agent: z.string().optional(),
      method: z.string().optional(),
      network: z
        .string()
        .transform(text => text as Network)
        .meta({ override: { type: 'string' } })
        .optional(),
    }),
  ),
  answers: z.array(z.string()),
})

const MOST_COMMAND_CHARACTERS = 10_000

/** The words of a command that is run in the container of an app. */
export const CommandWordsSchema = z
  .array(z.string().refine(word => !word.includes('\0'), { error: 'cannot hold a NUL byte' }))
  .min(1)
  .max(1_000)
  .refine(([program]) => program !== '', { error: 'begins with an empty word, which names no program' })
  .refine(words => words.join(' ').length <= MOST_COMMAND_CHARACTERS, {
    error: `is longer than ${MOST_COMMAND_CHARACTERS} characters`,
  })

/** How an app is asked whether it is idle. */
const IdleCheckSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('http'),
      path: z
        .string()
        .max(2_000)
        .regex(/^\/[\x21-\x7e]*$/, 'must begin with / and have no spaces'),
    }),
    z.strictObject({ kind: z.literal('command'), command: CommandWordsSchema.describe('its program and arguments') }),
  ])
  .meta({ id: 'IdleCheck' })

/** Fields of the view of an instance about tiers between awake and asleep. */
export const tierViewFields = {
  freezesAt: z.iso.datetime().optional(),
  frozenBy: z.enum(STOP_REASONS).optional(),
  parked: z.literal(true).optional().describe('it is asleep, and a container waits for its next wake'),
}

/** The tier to which an app is put. */
export const SleepTierSchema = z.enum(SLEEP_TIERS).default('asleep')

/** Fields of `sleep` of a task definition: when it is frozen, how far it steps down, and how an app that nobody uses is found to be at work. */
export const sleepFields = <T extends z.ZodType, D extends z.ZodType>(orNever: T, duration: D) => ({
  freezeAfter: orNever
    .describe('how long after its last use it is frozen, until it sleeps; left out: SHADOW_FREEZE_AFTER of the node')
    .optional(),
  suspendAfter: orNever
    .describe(
      'how long after its last use the memory of a frozen app goes to the swap of its machine; left out: SHADOW_SUSPEND_AFTER of the node',
    )
    .optional(),
  keep: z
    .enum(KEEP_TIERS)
    .optional()
    .describe(
      'the lowest tier that it goes to for want of use. frozen, suspended: it is that after its idle time, until its memory or its volume slot is needed; left out: SHADOW_KEEP of the node',
    ),
  detachAfter: duration
    .describe(
      'how long a disk of a cloud stays attached after it fell asleep since nobody used it; left out: SHADOW_DETACH_AFTER of the node',
    )
    .optional(),
  idleCheck: IdleCheckSchema.optional().describe(
    'asked before the app sleeps. http: 2xx is idle, 409 and 503 are at work. command: exit code 0 is idle, others are at work. All else has failed, and counts as idle from the third time in a row on',
  ),
  cpu: z
    .number()
    .min(0.1)
    .max(100)
    .optional()
    .describe('percent of the processors that it may use: above that it is at work; left out: they do not count'),
  dryRun: z
    .boolean()
    .optional()
    .describe(
      'do not put it to sleep for want of use, and record when it would have been; left out: SHADOW_SLEEP_DRY_RUN of the node',
    ),
})

/** What keeps an instance awake that nobody uses. */
export const AtWorkSchema = z.object({ why: z.string(), checkedAt: z.iso.datetime() })
/** The sleeps that a dry run left out. */
export const DrySleepsSchema = z.object({
  count: z.int(),
  at: z.iso.datetime().describe('when the last of them would have begun'),
  why: z.enum(STOP_REASONS),
  asleepMs: z.number().describe('how long it would have slept in all'),
})

/** Requests that did not wake an instance. */
export const NotWokenSchema = z.object({
  by: z.string().describe('the rule, or what the request said'),
  count: z.int(),
  at: z.iso.datetime().describe('when the last of them came'),
  what: z.string(),
})
