import { z } from 'zod'
import { DurationSchema, SizeSchema } from './schemas.ts'

/** How an image is built. `args` is JSON, since a query has only text. */
export const BuildQuerySchema = z.strictObject({
  dockerfile: z.string().min(1).max(1000).default('Dockerfile').describe('path of the Dockerfile in the context'),
  target: z.string().min(1).max(200).optional(),
  buildkit: z
    .enum(['true', 'false'])
    .optional()
    .describe('true: the Dockerfile needs BuildKit, which does not limit memory and processors; the node may refuse'),
  args: z
    .string()
    .max(100_000)
    .transform((text, context): Readonly<Record<string, string>> => {
      const parsed = z.record(z.string(), z.string()).safeParse(parsedJson(text))
      if (parsed.success) return parsed.data
      context.addIssue({ code: 'custom', message: 'must be JSON: an object of names and texts' })
      return z.NEVER
    })
    .optional()
    .meta({ override: { type: 'string' } })
    .describe('values of ARG lines, as JSON'),
  memory: SizeSchema.optional().describe('most memory of each step; the limit of the node is not exceeded'),
  cpus: z.coerce
    .number()
    .min(0.01)
    .max(512)
    .optional()
    .describe('most processors; the limit of the node is not exceeded'),
  within: DurationSchema.optional().describe('how long it may take; the limit of the node is not exceeded'),
})

export type BuildQuery = z.output<typeof BuildQuerySchema>

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the schema says what it must be
  }
}

/** The query as it is sent. */
export const textsOf = ({ args, ...query }: BuildQuery): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries({ ...query, args: args && JSON.stringify(args) }).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)]],
    ),
  )
