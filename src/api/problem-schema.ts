import { z } from 'zod'
import { failures } from '../lib/errors.ts'

/** A problem of RFC 9457, as calls answer with it. */
export const ProblemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(failures) as [keyof typeof failures]),
    detail: z.string(),
    hint: z.string().optional(),
    faults: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
    retryAfterMs: z.number().optional(),
    facts: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
    id: z.string().optional(),
  })
  .meta({ id: 'Problem' })
