/**
 * Informs a call that its caller no longer waits for the answer: the signal aborts. An exchange implements it, and makes its signal at the
 * first use.
 */
export type Cancellation = { readonly signal: AbortSignal }
