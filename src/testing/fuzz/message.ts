/** One message as a parser understood it. */
export type Message = {
  /** Method or status. */
  readonly start: string
  readonly target: string
  readonly headers: readonly string[]
  /** Of a request that we read: the one host it is passed on for. */
  readonly host?: string | undefined
  body: string
  /** Its end was found. */
  whole: boolean
}

/** All that a parser made of some bytes; `stopped` says why it would read no further. */
export type Reading = {
  readonly messages: readonly Message[]
  readonly stopped: string | undefined
  /** What is being read is not passed on before it is whole. */
  readonly withholds?: boolean
}
