/** One message, as a parser understood it. */
export type Message = {
  /** The method or the status. */
  readonly start: string
  readonly target: string
  readonly headers: readonly string[]
  /** For a request that we read: the one host that it is passed on with. */
  readonly host?: string | undefined
  body: string
  /** Whether its end was found. */
  whole: boolean
}

/** Everything that a parser read from some bytes; `stopped` says why it stopped. */
export type Reading = {
  readonly messages: readonly Message[]
  readonly stopped: string | undefined
  /** Whether the current message is not passed on before it is complete. */
  readonly withholds?: boolean
}
