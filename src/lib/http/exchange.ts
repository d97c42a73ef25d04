import type { Readable, Writable } from 'node:stream'
import type { NextHop } from './next-hop.ts'

/** An answer of our own that is small enough to be held in memory. */
export type OwnAnswer = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Each is sent as a `Set-Cookie` of its own, beside one in `headers`. */
  readonly cookies?: readonly string[] | undefined
  readonly body?: string | Buffer | undefined
}

/** One request and its answer, whichever version of HTTP the client speaks. */
export interface Exchange {
  readonly method: string
  /** Path and query, without what `mountAt` has taken off. */
  readonly target: string
  /** What `mountAt` has taken off; otherwise empty. */
  readonly mountedAt: string
  /** Tells whether the target is just this path, without a query. */
  isFor(path: string): boolean
  /** The requested host with its port: of a target that is a URL, otherwise of Host. */
  readonly host: string | undefined
  /** The client's address. */
  readonly clientAddress: string
  readonly secure: boolean
  /** An object that stands for the connection. It is the same for all requests on one connection. */
  readonly connection: object
  readonly hasBody: boolean
  /** The protocol that the client asks to switch to. */
  readonly upgrade: string | undefined
  readonly headBytes: number
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal
  /** The head of an answer has been sent. From then on a failure can be told to the client only by cutting the connection. */
  readonly answered: boolean
  /** An upstream was sent the request without asking first, so it may have begun to handle it. */
  readonly mayBeSeen: boolean
  /** Headers for answers of our own; forwarded answers do not get them. */
  readonly ownHeaders: Record<string, string>
  /** The first value of the header with this name; `name` is in lower case. */
  header(name: string): string | undefined
  /** Takes this beginning, of whole segments, off the path. From now on the rest is the `target`, and is what is forwarded. */
  mountAt(prefix: string): void
  /** All values of the header with this name, joined by commas (RFC 9110, 5.3); `name` is in lower case. */
  list(name: string): string | undefined
  /**
   * Forwards the request. Resolves when the client has the last byte (for an upgrade: when both sides have closed). Rejects with `UpstreamError` or
   * `Refusal`, with the signal's reason, or with a ShadowError: `client-gone` if the client left or is too slow, `too-slow` if its body is late and
   * nothing was answered, `too-large` for its body. If `answered` is true then, the client's connection was cut. Otherwise nothing was answered, and
   * the caller may forward the request again, or answer it. Before the call nothing is read of the body but what came with the head.
   */
  forward(hop: NextHop, signal?: AbortSignal): Promise<void>
  /** Answers the request instead of forwarding it. */
  answer(answer: OwnAnswer): void
  /** Gives the request and its answer as streams, for a handler of ours; instead of everything else. */
  open(): Promise<Opened>
}

/** A request that a handler of ours reads; node:http's IncomingMessage is one. */
export interface StreamedRequest extends Readable {
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/** An answer that a handler of ours writes; node:http's ServerResponse is one. */
export interface StreamedResponse extends Writable {
  readonly headersSent: boolean
  writeHead(status: number, headers?: Record<string, string>): this
  flushHeaders(): void
}

/** A request and its answer as streams; `signal` aborts when the client leaves before the answer is whole. */
export type Opened = {
  readonly request: StreamedRequest
  readonly response: StreamedResponse
  readonly signal: AbortSignal
}

/** Makes the answer to a request that failed. `of` is the request, if it is known. */
export type AnswerOf = (thrown: unknown, of?: { readonly method: string; readonly target: string }) => OwnAnswer

/** Handles a request: it has been forwarded or answered when the promise resolves. A ShadowError becomes the answer. */
export type RequestHandler = (exchange: Exchange) => Promise<void>
