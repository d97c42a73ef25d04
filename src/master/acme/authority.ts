/** What a challenge asks for: a file at every front (`http-01`), or a TXT record (`dns-01`). */
export type Challenge =
  | { readonly kind: 'http-01'; readonly token: string; readonly keyAuthorization: string }
  | { readonly kind: 'dns-01'; readonly record: string; readonly value: string }

/** Makes what a challenge asks for visible, and takes it away again. */
export interface Solver {
  /** Resolves when the authority may look. */
  put(challenge: Challenge): Promise<void>
  /** May be called for what was never put. */
  clear(challenge: Challenge): Promise<void>
}

export type Order = {
  /** A hostname, or a wildcard such as `*.example.com`. */
  readonly name: string
  readonly kind: Challenge['kind']
  /** The private key of the certificate, PEM. */
  readonly key: string
  readonly solver: Solver
}

/** A certificate authority that speaks ACME (RFC 8555). */
export interface Authority {
  /** Orders a certificate and gives its chain, PEM. Fails with `OrderError`. */
  order(order: Order): Promise<string>
}

/** Why no certificate was given. */
export class OrderError extends Error {
  /** The authority could not be reached or did not work: the same would happen to other orders now. */
  readonly isAway: boolean
  /** Not before so many milliseconds may the order be tried again, as the authority says. */
  readonly retryAfterMs: number | undefined

  constructor(
    message: string,
    { isAway = false, retryAfterMs, cause }: { isAway?: boolean; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, { cause })
    this.isAway = isAway
    this.retryAfterMs = retryAfterMs
  }
}
