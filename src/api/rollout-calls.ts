import { z } from 'zod'
import { admin, appParams, type Call, flag } from './call-shape.ts'

export const rolloutQuery = z.strictObject({
  revision: z.coerce.number().int().min(1).optional().describe('left out: the current one'),
  wake: flag.describe('wake the app if it sleeps'),
  within: z.coerce.number().int().min(1).max(86_400).default(900).describe('how many seconds to wait at most'),
})

export const rolloutCalls = {
  followRollout: {
    says: 'wait until a revision serves on all awake instances of an app, or is rejected; NDJSON: a line for each stage of each instance, and a last one with the outcome; empty lines keep the connection open',
    params: appParams,
    query: rolloutQuery,
    answer: 'stream',
    may: admin,
  },
  getEndpoint: {
    says: 'the address of the newest release of an app, and of each release that runs',
    params: appParams,
    answer: z
      .object({
        url: z.string().nullable().describe('where the newest release is served; null: the app has no hostname'),
        revision: z.int(),
        releases: z.array(
          z.object({
            revision: z.int(),
            host: z.string(),
            state: z.enum(['newest', 'former']),
            instances: z.int().describe('how many instances run it'),
          }),
        ),
      })
      .meta({ id: 'Endpoint' }),
    may: admin,
  },
} satisfies Record<string, Call>
