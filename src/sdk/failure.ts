/** A call that the master has refused, or that had no answer. `code`: as docs/errors.md lists them, or `unreachable`. */
export class ShadowFailure extends Error {
  override name = 'ShadowFailure'
  readonly code: string
  /** The HTTP status; 0 where there was no answer. */
  readonly status: number
  readonly hint: string | undefined
  /** Set if the call may be made again after so long. */
  readonly retryAfterMs: number | undefined

  constructor(
    status: number,
    { code, detail, hint }: { readonly code: string; readonly detail: string; readonly hint?: string | undefined },
    { cause, retryAfterMs }: { readonly cause?: unknown; readonly retryAfterMs?: number | undefined } = {},
  ) {
    super(detail, { cause })
    this.code = code
    this.status = status
    this.hint = hint
    this.retryAfterMs = retryAfterMs
  }

  /** The failure that an answer of the master tells: a problem document (RFC 9457), or the status alone. */
  static async of(response: Response): Promise<ShadowFailure> {
    const text = await response.text().catch(() => '')
    const after = Number(response.headers.get('retry-after') ?? Number.NaN)
    const more = { retryAfterMs: Number.isFinite(after) ? after * 1_000 : undefined }
    const { code = 'unknown', detail = `status ${response.status}`, hint } = problemIn(text)
    return new ShadowFailure(response.status, { code, detail, hint }, more)
  }
}

type Problem = { readonly code?: string; readonly detail?: string; readonly hint?: string }

function problemIn(text: string): Problem {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Problem) : {}
  } catch {
    return {} // a proxy in between has answered
  }
}
