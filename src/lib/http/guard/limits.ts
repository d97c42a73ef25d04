import { ShadowError } from '../../errors.ts'
import { HEAD_LIMITS, type HeadLimits } from '../wire/head.ts'

/** How long clients are waited for, and how much of them is borne. Beyond it they are answered with what is said here, where they can be. */
export type Limits = HeadLimits & {
  /** The content of a request's body, without its framing; beyond it 413. */
  readonly bodyBytes: number
  /** A head must be whole so soon after its first byte (of a new connection: so soon after it was opened); else 408. */
  readonly headWithinMs: number
  /** A connection without a request is closed after so long. */
  readonly keepAliveMs: number
  /** A client that neither takes nor gives a byte for so long, though it should, is cut; 408 where its request is what is missing. */
  readonly stalledAfterMs: number
  /** The same of a body that passes more slowly, on average over `rateOverMs`; 0 for no such limit. */
  readonly leastBytesPerSecond: number
  readonly rateOverMs: number
  /** How long a client that was answered early may go on sending. */
  readonly lingerMs: number
  /** Requests that one connection serves; the last answer says `Connection: close`. */
  readonly requestsPerConnection: number
}

export const LIMITS: Limits = {
  ...HEAD_LIMITS,
  bodyBytes: Number.POSITIVE_INFINITY,
  headWithinMs: 30_000,
  keepAliveMs: 75_000,
  stalledAfterMs: 300_000,
  leastBytesPerSecond: 0,
  rateOverMs: 60_000,
  lingerMs: 30_000,
  requestsPerConnection: Number.POSITIVE_INFINITY,
}

export const tooLarge = (most: number): ShadowError =>
  new ShadowError('too-large', `the body is larger than the ${most} bytes that are taken here`)
