/** Tells a call that its caller no longer waits for the answer: the signal aborts. An exchange is one; it makes its signal at the first use. */
export type Cancellation = { readonly signal: AbortSignal }
