/** Somebody who may leave before what they wait for is there; the signal is made when it is first asked for. */
export type Leaver = { readonly signal: AbortSignal }
