import { ShadowError } from '../../errors.ts'
import { HEAD_LIMITS, type HeadLimits } from '../wire/head.ts'

/** The limits for clients. A client that exceeds one is answered with the status named here, if it can still be answered. */
export type Limits = HeadLimits & {
  /** Bytes of a request's body, without its framing; more are refused with 413. */
  readonly bodyBytes: number
  /** How long a head may take from its first byte (on a new connection: from its opening); then 408. */
  readonly headWithinMs: number
  /** How long a connection without a request stays open. */
  readonly keepAliveMs: number
  /** How long a client may pass no byte while it is its turn. Then it is cut, or answered with 408 if its request is incomplete. */
  readonly stalledAfterMs: number
  /** The lowest rate of a body, on average over `rateOverMs`; a slower client is treated the same. 0: no limit. */
  readonly leastBytesPerSecond: number
  readonly rateOverMs: number
  /** How long a client may go on sending after it was answered before the end of its request. */
  readonly lingerMs: number
  /** Requests of one connection; the last answer says `Connection: close`. */
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

export const requestTooSlow = (): ShadowError =>
  new ShadowError('too-slow', 'the rest of the request came too slowly, or not at all')

export const clientTooSlow = (): ShadowError =>
  new ShadowError('client-gone', 'the client took and gave bytes too slowly, or none at all')

export const tooLarge = (most: number): ShadowError =>
  new ShadowError('too-large', `the body is larger than the ${most} bytes that are taken here`)
