import { z } from 'zod'
import { LONGEST_PAUSE_REASON } from '../model/pause.ts'
import { admin, appParams, type Call } from './call-shape.ts'
import { AppSchema } from './schemas.ts'

const shown = z.strictObject({ env: z.enum(['values', 'digests']).default('values') })

/** The calls that keep an app from being woken. */
export const pauseCalls = {
  pauseApp: {
    says: 'pause an app: its nodes put it to sleep, and nothing wakes it until it is resumed; requests are answered 503 app-paused; makes no revision; If-Match',
    params: appParams,
    query: shown,
    body: z.strictObject({
      why: z
        .string()
        .trim()
        .min(1)
        .max(LONGEST_PAUSE_REASON)
        .regex(/^\P{Cc}*$/u, 'has control characters')
        .optional()
        .describe('shown to whoever asks why it sleeps'),
    }),
    answer: AppSchema,
    may: admin,
  },
  resumeApp: {
    says: 'resume a paused app: the next request wakes it; changes nothing where it is not paused; If-Match',
    params: appParams,
    query: shown,
    answer: AppSchema,
    may: admin,
  },
} satisfies Record<string, Call>
