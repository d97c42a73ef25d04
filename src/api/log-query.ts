import { z } from 'zod'
import { ShadowError } from '../lib/errors.ts'
import { linePattern } from '../lib/line-pattern.ts'
import { durationMs } from '../model/quantities.ts'
import { InstanceIdSchema } from './schemas.ts'

const LONGEST_PATTERN = 1_000

const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform(value => value === 'true')

/** Which lines of a log. */
export const logQuery = z.strictObject({
  follow: flag,
  tail: z.coerce.number().int().min(0).max(100_000).default(200),
  since: z
    .string()
    .max(40)
    .optional()
    .describe('only lines from then on: a time (ISO 8601), or how long ago, such as 1h30m'),
  instance: InstanceIdSchema.optional().describe(
    'of an app that may have several instances, the lines of this one alone',
  ),
  until: z.string().max(40).optional().describe('only lines before then; written as since'),
  grep: z.string().max(LONGEST_PATTERN).optional().describe('only lines that match this regular expression (RE2)'),
})
export type LogQuery = z.output<typeof logQuery>

/** The filter of a query; fails with `bad-input` that names the field. */
export function lineFilterOf({ since, until, grep }: Pick<LogQuery, 'since' | 'until' | 'grep'>, now: number) {
  return {
    ...(since !== undefined && { since: named('since', () => momentOf(since, now)) }),
    ...(until !== undefined && { until: named('until', () => momentOf(until, now)) }),
    ...(grep !== undefined && { matches: named('grep', () => linePattern(grep)) }),
  }
}

function momentOf(text: string, now: number): number {
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const at = Date.parse(text)
    if (Number.isFinite(at)) return at
  } else return now - durationMs(text)
  throw new ShadowError(
    'bad-input',
    `"${text}" is no time; write it like 2026-11-29T14:00:00Z, or 1h30m for so long ago`,
  )
}

function named<T>(field: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof ShadowError)) throw error
    const message = error.message
    throw new ShadowError('bad-input', `${field}: ${message}`, { faults: [{ field, message }] })
  }
}
