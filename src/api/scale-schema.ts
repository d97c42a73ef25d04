import { z } from 'zod'
import { faultsOfScale, MOST_INSTANCES, SCALE_DEFAULTS } from '../model/scale.ts'

const requestsAtATime = z.int().min(1).max(1_000_000)
const usualConcurrency = SCALE_DEFAULTS.concurrency
/** How many instances of an app run, by its load. */
export const ScaleSchema = z
  .strictObject({
    min: z
      .int()
      .min(0)
      .max(MOST_INSTANCES)
      .default(SCALE_DEFAULTS.min)
      .describe('so many instances are kept awake, used or not'),
    max: z.int().min(1).max(MOST_INSTANCES).default(SCALE_DEFAULTS.max).describe('never more instances than this'),
    concurrency: z
      .strictObject({ soft: requestsAtATime, hard: requestsAtATime })
      .optional()
      .describe(
        `requests in flight of an instance: above soft another one is made ready, and none is given more than hard; left out: ${usualConcurrency.soft} and ${usualConcurrency.hard}`,
      ),
    cpu: z
      .int()
      .min(1)
      .max(100)
      .optional()
      .describe(
        `percent of the processors of an instance, above which another one is made ready; left out: ${SCALE_DEFAULTS.cpu}`,
      ),
  })
  .superRefine((scale, context) => {
    for (const { field, message } of faultsOfScale(scale, false))
      context.addIssue({ code: 'custom', path: [field], message })
  })
  .meta({ id: 'Scale' })

/** The rules as they are stored: an earlier version may have stored others than are taken now. */
export const StoredScaleSchema = z.object({
  min: z.int(),
  max: z.int(),
  concurrency: z.object({ soft: z.int(), hard: z.int() }).optional(),
  cpu: z.int().optional(),
})
