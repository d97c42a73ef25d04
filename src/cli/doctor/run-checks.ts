import { orAborted } from '../../lib/abort.ts'
import { asShadowError } from '../../lib/errors.ts'
import type { Check, Finding } from './finding.ts'

const WITHIN_MS = 20_000

/** Runs all checks at once; each one that fails or takes too long is a finding itself. The findings are in the order of the checks. */
export async function runChecks(checks: readonly Check[], withinMs = WITHIN_MS): Promise<readonly Finding[]> {
  return (await Promise.all(checks.map(check => runOne(check, withinMs)))).flat()
}

async function runOne({ name, run }: Check, withinMs: number): Promise<readonly Finding[]> {
  const limit = new AbortController()
  const alarm = setTimeout(() => limit.abort(new Error(`no answer within ${withinMs / 1_000} s`)), withinMs)
  try {
    return await orAborted(run(limit.signal), limit.signal)
  } catch (thrown) {
    const known = asShadowError(thrown)
    const isOurs = known === thrown
    const value = isOurs ? known.message : thrown instanceof Error ? thrown.message : String(thrown)
    const mend = known.details.hint ?? 'see the cause, and run shadow doctor again'
    return [{ level: 'problem', check: name, what: 'could not be checked', where: name, value, mend }]
  } finally {
    clearTimeout(alarm)
  }
}
