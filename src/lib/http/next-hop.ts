import type { IncomingMessage } from 'node:http'
import type { ServerTls } from '../tls/credentials.ts'

/** How far a request got before the upstream failed. */
export type Stage = 'connect' | 'send' | 'head' | 'body'

/** A failure of an upstream. If `sent` is false, it cannot have seen the request, and the request may be forwarded again. */
export class UpstreamError extends Error {
  override name = 'UpstreamError'
  readonly stage: Stage
  readonly sent: boolean
  /** The upstream had the whole request, and did not begin its answer in time. */
  isLate = false
  /** The upstream answered, but the answer was refused. The message names the fault and the header. */
  readonly isRefused: boolean

  constructor(stage: Stage, sent: boolean, message: string, cause: unknown, isRefused = false) {
    super(message, { cause })
    this.stage = stage
    this.sent = sent
    this.isRefused = isRefused
  }

  /** The upstream's answer cannot be forwarded; `fault` says why. */
  static refused(address: string, stage: Stage, fault: string, cause?: unknown): UpstreamError {
    return new UpstreamError(stage, true, `${address} answered with ${fault}`, cause, true)
  }

  /** The upstream did not begin its answer in time. */
  static late({ address, answerWithinMs = 0 }: NextHop): UpstreamError {
    const late = new UpstreamError('head', true, `${address} gave no answer within ${answerWithinMs} ms`, undefined)
    late.isLate = true
    return late
  }

  /** The connection to the upstream was lost. */
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

/** The upstream refused the request by an answer that is for us (see `NextHop.refusal`). Nothing of it was forwarded. */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** If false, nothing of the request's body was read, and the request may be forwarded again. */
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
  /** What ended the upstream: its requests under way fail with it. undefined: requests under way go on. */
  readonly cause?: Error | undefined
}

/** An answer that was forwarded: its headers, with their names in lower case, and its whole body without the framing. */
export type CopiedAnswer = {
  readonly status: number
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
}

/** Where a request is forwarded to, and what is changed in it and in its answer. */
export type NextHop = {
  /** `ip:port` of the upstream. */
  readonly address: string
  /** The name of what is behind the address. Connections are pooled by it, and none is opened once it has gone. Default: the address. */
  readonly upstream?: string | undefined
  /** Set if the address is another port of the upstream than the usual one. Its connections are pooled apart, and end with the upstream. */
  readonly otherPort?: number | undefined
  /** How the connection is secured. Default: it is not. */
  readonly tls?: ServerTls | undefined
  /** Called before a request is sent again to the same address. Rejects with what ended the upstream, if it no longer runs. */
  readonly alive?: (() => Promise<void>) | undefined
  /** Headers and trailers with this prefix are dropped in both directions. Lower case. */
  readonly strip?: string | undefined
  /** More headers and trailers of the request that are dropped. In lower case; in the prefix `-` stands for `_` too. */
  readonly drops?: { readonly prefix: string; readonly names: readonly string[] } | undefined
  /** Set on the forwarded request, after `strip` and `drops`. The client's headers of these names are dropped. */
  readonly requestHeaders?: Readonly<Record<string, string>> | undefined
  /** `Strict-Transport-Security` for an answer that has none (RFC 6797, 6.1). Set it for requests over HTTPS only. */
  readonly hsts?: string | undefined
  /** Added to the answer. */
  readonly responseHeaders?: Readonly<Record<string, string>> | undefined
  /**
   * What happens to X-Forwarded-For, -Proto and -Host, and to `Forwarded`: `replace` them for a client that is not trusted, `append` to them for a
   * trusted proxy, `keep` them for a proxy of ours. `Via` is extended except with `keep`, so that front and node together appear once.
   */
  readonly forwarded: 'replace' | 'append' | 'keep'
  /**
   * Who says `100 Continue` before the body is sent. `pass` (default): the upstream, if the client asked for it. `ask`: the upstream is asked in any
   * case, so that until then the request can be forwarded elsewhere. `answer`: we say it ourselves, to a proxy that forwards with `ask`.
   */
  readonly expect?: 'pass' | 'ask' | 'answer' | undefined
  /** Called when the answer begins. If it returns an error, the answer is dropped, and the request fails with that error. */
  readonly refuseAnswer?: (() => Error | undefined) | undefined
  /** Called when the answer is taken, with its status, before the client gets the head. It must not throw. */
  readonly onAnswer?: ((status: number) => void) | undefined
  /** Who gets a copy of the answer, if it is wanted by its head, and is whole and not larger than this. `taken` must not throw. */
  readonly copy?:
    | {
        readonly mostBytes: number
        wants(answer: Omit<CopiedAnswer, 'body'>): boolean
        taken(answer: CopiedAnswer): void
      }
    | undefined
  /** How long the upstream may take to begin its answer, from the end of the request. Default: no limit. */
  readonly answerWithinMs?: number | undefined
  /** Called for answers from 400 on. Tells whether the answer is a refusal by the next proxy, which is thrown as `Refusal` and not forwarded. */
  readonly refusal?: ((headers: IncomingMessage['headers']) => boolean) | undefined
  /** Called for a refusal. Tells whether somebody behind the next proxy may have handled the request. */
  readonly seen?: ((headers: IncomingMessage['headers']) => boolean) | undefined
}
