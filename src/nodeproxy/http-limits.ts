import { LIMITS, type Limits } from '../lib/http/guard/limits.ts'

const KIB = 1_024

/** What a node bears of fronts: more than a front does of strangers, since what that let pass must not fail here. */
export const NODE_LIMITS: Limits = {
  ...LIMITS,
  headBytes: 256 * KIB,
  headers: 1_024,
  lineBytes: 128 * KIB,
  headWithinMs: 60_000,
  // A front cuts the client that stalls, and so ends its own request.
  stalledAfterMs: 2 * LIMITS.stalledAfterMs,
}
