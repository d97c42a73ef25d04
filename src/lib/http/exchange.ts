import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Hop } from './upstream-target.ts'

/** An answer of our own, small enough to be whole in memory. */
export type OwnAnswer = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | undefined
}

/** One request and its answer, by whichever path they travel: the strict framer over raw sockets, or node:http for what is unusual. */
export interface Exchange {
  readonly method: string
  /** Path and query. */
  readonly target: string
  /** Whether just this was asked for, without a query. */
  isFor(path: string): boolean
  /** The host that was asked for, with its port: in a target that is a URL, else in Host. */
  readonly host: string | undefined
  /** The client's address. */
  readonly peer: string
  readonly secure: boolean
  /** What it came by; the same for all requests on one connection. */
  readonly connection: object
  readonly hasBody: boolean
  /** What it asks to switch to. */
  readonly upgrade: string | undefined
  readonly headBytes: number
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal
  /** The head of an answer is out: nothing but cutting the connection can tell the client of a failure. */
  readonly answered: boolean
  /** Put on the answers that are ours; not on those that are passed on. */
  readonly ownHeaders: Record<string, string>
  /** The first value of the header with this name, which is in lower case. */
  header(name: string): string | undefined
  /** All values of the header with this name, which is in lower case, as one list with commas (RFC 9110, 5.3). */
  list(name: string): string | undefined
  /**
   * Forwards the request; resolves when the last byte is with the client (for an upgrade: when both sides have closed). Rejects with
   * `UpstreamError` or `Refusal`; with a ShadowError: `client-gone` where the client left or is too slow, `too-slow` where its body is
   * late and nothing was answered yet, `too-large` for its body; with the signal's reason. Where `answered` by then, the client's
   * connection was cut. Otherwise nothing was answered: try again, or answer. Until then nothing is read of the body but what came
   * along with the head.
   */
  forward(hop: Hop, signal?: AbortSignal): Promise<void>
  /** Answers, instead of forwarding. */
  answer(answer: OwnAnswer): void
  /** The request as node:http has it, for answers that are streams of our own; instead of everything else. */
  open(): Promise<Opened>
}

/** An exchange in the hands of node:http; `signal` aborts when the client leaves before the answer is whole. */
export type Opened = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly signal: AbortSignal
}

/** The answer to a request that failed; `of` is the request, where it is known. */
export type AnswerOf = (thrown: unknown, of?: { readonly method: string; readonly target: string }) => OwnAnswer

/** What is done about a request: it is forwarded or answered when this resolves; a ShadowError becomes its answer. */
export type Journey = (exchange: Exchange) => Promise<void>
