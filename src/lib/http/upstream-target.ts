import type { IncomingMessage } from 'node:http'

/** How far a request got before the upstream failed. */
export type Stage = 'connect' | 'send' | 'head' | 'body'

/** The upstream failed. `sent` false: it cannot have seen the request, so the same request may be forwarded again. */
export class UpstreamError extends Error {
  override name = 'UpstreamError'
  readonly stage: Stage
  readonly sent: boolean
  /** It had the whole request, and did not begin its answer in time. */
  isLate = false
  /** It did answer, but the answer was refused: the message says what is wrong with it, and with which header. */
  readonly isRefused: boolean

  constructor(stage: Stage, sent: boolean, message: string, cause: unknown, isRefused = false) {
    super(message, { cause })
    this.stage = stage
    this.sent = sent
    this.isRefused = isRefused
  }

  /** Its answer cannot be passed on: `fault` says why. */
  static refused(address: string, stage: Stage, fault: string, cause?: unknown): UpstreamError {
    return new UpstreamError(stage, true, `${address} answered with ${fault}`, cause, true)
  }

  /** It did not begin its answer in time. */
  static late({ address, answerWithinMs = 0 }: Hop): UpstreamError {
    const late = new UpstreamError('head', true, `${address} gave no answer within ${answerWithinMs} ms`, undefined)
    late.isLate = true
    return late
  }

  /** Its connection was lost at a stage. */
  static lost(address: string, stage: Stage, sent: boolean, cause: Error): UpstreamError {
    return new UpstreamError(stage, sent, `${address} ${LOST[stage]}: ${cause.message}`, cause)
  }
}

const LOST: Readonly<Record<Stage, string>> = {
  connect: 'takes no connection',
  send: 'closed the connection while the request was sent',
  head: 'closed the connection without an answer',
  body: 'closed the connection in the middle of its answer',
}

/** The upstream's answer was one that the hop takes as a refusal: nothing of it was passed on. */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** false: the request's body was not touched, so the same request may be forwarded again. */
  readonly sent: boolean

  constructor(answer: { status: number; headers: IncomingMessage['headers']; body: string; sent: boolean }) {
    super(`the upstream refused with ${answer.status}`)
    this.status = answer.status
    this.headers = answer.headers
    this.body = answer.body
    this.sent = answer.sent
  }
}

/** An upstream that takes no more requests. */
export type GoneUpstream = {
  readonly address: string
  readonly upstream: string
  /** What ended it, so that nothing comes of what it had in hand; undefined: what is under way goes on. */
  readonly cause?: Error | undefined
}

/** One hop: where to, and what is changed on the way. */
export type Hop = {
  /** `ip:port` of the upstream. */
  readonly address: string
  /** Names what is behind the address: connections are kept for it alone, and none is made once it has gone. Left out: the address does. */
  readonly upstream?: string | undefined
  /** Asked before a request is sent once more on the same address: rejects with what ended the upstream, where it does not run on. */
  readonly alive?: (() => Promise<void>) | undefined
  /** Headers whose names begin so are dropped both ways, trailers included; lower case. */
  readonly strip?: string | undefined
  /** Set on the forwarded request, after the stripping; what came by these names is dropped. */
  readonly requestHeaders?: Readonly<Record<string, string>> | undefined
  /** `Strict-Transport-Security` for an answer that has none (RFC 6797, 6.1); for those by HTTPS alone. */
  readonly hsts?: string | undefined
  /** Added to the answer. */
  readonly responseHeaders?: Readonly<Record<string, string>> | undefined
  /**
   * X-Forwarded-For, -Proto and -Host, and `Forwarded`: `replace` what a stranger claims, `append` to what a trusted proxy says, `keep`
   * as they came from a hop of ours. `Via` is added to but for `keep`: it names the two hops of a request once.
   */
  readonly forwarded: 'replace' | 'append' | 'keep'
  /**
   * Who is asked to go on before the body is sent. `pass` (default): the upstream, if the client asked. `ask`: the upstream in any case; so
   * until it goes on, the request can be forwarded again elsewhere. `answer`: nobody; this hop goes on itself, the request having been
   * forwarded to it with `ask`.
   */
  readonly expect?: 'pass' | 'ask' | 'answer' | undefined
  /** How long the upstream may take to begin its answer, once it has the whole request; left out: no limit. */
  readonly answerWithinMs?: number | undefined
  /** Asked of answers from 400 on: whether it is a refusal by the next hop, to be thrown as `Refusal` and not passed on. */
  readonly refusal?: ((headers: IncomingMessage['headers']) => boolean) | undefined
}
