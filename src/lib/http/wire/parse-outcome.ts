// The results of parsing a head, besides the HTTP status of a refusal.
export const MORE = 0
export const WHOLE = 1

export type HeadLimits = {
  /** Bytes of the whole head; more are refused with 431. */
  readonly headBytes: number
  /** Bytes of the request line; more are refused with 414. */
  readonly lineBytes: number
  readonly headers: number
}

export const HEAD_LIMITS: HeadLimits = { headBytes: 32_768, lineBytes: 16_384, headers: 128 }
