import type { LogLine } from '../../model/instance.ts'

/** Which lines of a log a reader wants. Times are milliseconds since the epoch. */
export type LineFilter = {
  readonly since?: number | undefined
  readonly until?: number | undefined
  readonly matches?: ((line: string) => boolean) | undefined
}

/** Lines may stand in a log a little out of order: so far before `since` none is looked for any more. */
const OUT_OF_ORDER_MS = 1_000

/** Whether the line is wanted. */
export function isWanted({ at, line }: LogLine, { since, until, matches }: LineFilter): boolean {
  if (since !== undefined || until !== undefined) {
    const time = Date.parse(at)
    if (since !== undefined && time < since) return false
    if (until !== undefined && time > until) return false
  }
  return matches === undefined || matches(line)
}

/** Whether no older line of the log can be wanted. */
export const isTooOld = ({ at }: LogLine, { since }: LineFilter): boolean =>
  since !== undefined && Date.parse(at) < since - OUT_OF_ORDER_MS
