import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../clock.ts'

/** How far a request got before the upstream failed. */
export type Stage = 'connect' | 'send' | 'head' | 'body'

/** The upstream failed. `sent` false: it cannot have seen the request, so the same request may be forwarded again. */
export class UpstreamError extends Error {
  override name = 'UpstreamError'
  readonly stage: Stage
  readonly sent: boolean

  constructor(stage: Stage, sent: boolean, message: string, cause: unknown) {
    super(message, { cause })
    this.stage = stage
    this.sent = sent
  }
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

/** One hop: where to, and what is changed on the way. */
export type Hop = {
  /** `ip:port` of the upstream. */
  readonly address: string
  /** Headers whose names begin so are dropped both ways, trailers included; lower case. */
  readonly strip?: string | undefined
  /** Set on the forwarded request, after the stripping; what came by these names is dropped. */
  readonly requestHeaders?: Readonly<Record<string, string>> | undefined
  /** Added to the answer, asked for when its head is there. */
  readonly responseHeaders?: (() => Readonly<Record<string, string>>) | undefined
  /**
   * X-Forwarded-For, -Proto and -Host: `replace` what a stranger claims, `append` to what a trusted proxy says, `keep` as they
   * came from a hop of ours.
   */
  readonly forwarded: 'replace' | 'append' | 'keep'
  /**
   * Who is asked to go on before the body is sent. `pass` (default): the upstream, if the client asked. `ask`: the upstream in any case; so
   * until it goes on, the request can be forwarded again elsewhere. `answer`: nobody; this hop goes on itself, the request having been
   * forwarded to it with `ask`.
   */
  readonly expect?: 'pass' | 'ask' | 'answer' | undefined
  /** Whether this answer is a refusal by the next hop, to be thrown as `Refusal` and not passed on. */
  readonly refusal?: ((headers: IncomingMessage['headers']) => boolean) | undefined
}

export type ForwarderOptions = {
  readonly clock: Clock
  /** An upstream that takes longer to accept a connection counts as unreachable. */
  readonly connectWithinMs?: number
  /** A client that neither takes nor gives a byte for so long, though it should, is cut. */
  readonly stalledAfterMs?: number
  /** A WebSocket's client that is silent for so long is pinged, and cut if it stays silent as long again. */
  readonly pingEveryMs?: number
}

/**
 * Forwards requests and upgrades, streaming both ways. Give it the request and response of a `strictServer`, which makes no
 * difference between the two.
 */
export class Forwarder implements Disposable {
  readonly options: ForwarderOptions

  constructor(options: ForwarderOptions) {
    this.options = options
  }

  /**
   * Resolves when the last byte is with the client (for an upgrade: when both sides have closed). Rejects with `UpstreamError` or
   * `Refusal`; with a ShadowError `client-gone` where the client left or stalled; with the signal's reason. Where `response.headersSent` by then, the
   * client's connection was cut. Otherwise nothing was answered and the caller does.
   */
  forward(request: IncomingMessage, response: ServerResponse, hop: Hop, signal: AbortSignal): Promise<void> {
    void [request, response, hop, signal]
    throw new Error('not built yet')
  }

  /** Closes the idle connections to an upstream that is going away: another may get its address. */
  forget(address: string): void {
    void address
  }

  [Symbol.dispose](): void {}
}
