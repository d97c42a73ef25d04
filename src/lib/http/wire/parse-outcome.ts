/** What parsing a head comes to, besides the status of a refusal. */
export const MORE = 0
export const WHOLE = 1

export type HeadLimits = {
  /** The whole head, in bytes; beyond it 431. */
  readonly headBytes: number
  /** The request line, in bytes; beyond it 414. */
  readonly lineBytes: number
  readonly headers: number
}

export const HEAD_LIMITS: HeadLimits = { headBytes: 32_768, lineBytes: 16_384, headers: 128 }
