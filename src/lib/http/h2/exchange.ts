import { constants, type ServerHttp2Stream } from 'node:http2'
import { ShadowError } from '../../errors.ts'
import type { Opened, OwnAnswer } from '../exchange.ts'
import { composeRequest } from '../fast/compose.ts'
import { IDEMPOTENT, left, listOf, SAYS } from '../fast/exchange.ts'
import type { Served } from '../fast/parts.ts'
import type { Upstream, UpstreamUser } from '../fast/upstream.ts'
import { type Hop, Refusal, type Stage, UpstreamError } from '../hop.ts'
import { tooLarge } from '../limits.ts'
import { newPace, type Pace } from '../pace.ts'
import type { Head } from '../wire/head.ts'
import { StreamAnswer } from './answer.ts'
import { StreamBody } from './body.ts'
import { ownFields } from './fields.ts'
import { opened } from './opened.ts'
import type { Session } from './session.ts'

type Settle = { readonly resolve: () => void; readonly reject: (reason: unknown) => void }
export type Asked = { readonly head: Head; readonly raw: string[]; readonly ended: boolean }

/** A request on a stream of HTTP/2, forwarded as one of HTTP/1.1. */
export class StreamExchange implements Served, UpstreamUser {
  readonly session: Session
  readonly stream: ServerHttp2Stream
  readonly head: Head
  readonly ownHeaders: Record<string, string> = {}
  readonly pace: Pace = newPace()
  answered = false
  /** The client has left, or has been cut. */
  gone = false
  /** Bytes of the answer given to the stream. */
  sent = 0
  readonly #raw: string[]
  readonly #body: StreamBody
  #hop: Hop | undefined
  #upstream: Upstream | undefined
  #answer: StreamAnswer | undefined
  #settle: Settle | undefined
  #gone: AbortController | undefined
  #signal: AbortSignal | undefined
  /** The body waits until the upstream says to go on. */
  #asks = false
  #repeated = false
  #deaf: Error | undefined
  #over = false

  constructor(session: Session, stream: ServerHttp2Stream, { head, raw, ended }: Asked) {
    this.session = session
    this.stream = stream
    this.head = head
    this.#raw = raw
    this.#body = new StreamBody(this, ended)
    stream
      .on('error', () => undefined) // its close is what counts
      .on('aborted', () => this.#ends())
      .on('close', () => this.#ends())
  }

  get method(): string {
    return this.head.method
  }

  get target(): string {
    return this.head.target
  }

  get host(): string | undefined {
    return this.head.host
  }

  get peer(): string {
    return this.session.peer.address
  }

  get connection(): object {
    return this.session.socket
  }

  get secure(): boolean {
    return this.session.peer.proto === 'https'
  }

  get hasBody(): boolean {
    return this.head.requestFraming !== 'none'
  }

  get upgrade(): string | undefined {
    return undefined
  }

  get headBytes(): number {
    return this.head.length
  }

  get signal(): AbortSignal {
    if (this.#gone === undefined) {
      this.#gone = new AbortController()
      if (this.gone) this.#gone.abort(left())
    }
    return this.#gone.signal
  }

  header(name: string): string | undefined {
    return this.head.header(name)
  }

  list(name: string): string | undefined {
    return listOf(this.head, name)
  }

  /** Nothing of it is to come any more. */
  get over(): boolean {
    return this.#over || this.gone
  }

  answer({ status, headers, body = '' }: OwnAnswer): void {
    // Of a stream whose client expects no body, node:http2 does not say at once that it was reset.
    if (this.answered || this.gone || this.stream.closed) return
    const bytes = Buffer.from(body)
    this.stream.respond(ownFields(status, { ...this.ownHeaders, ...headers }, bytes.length), NO_DATE)
    this.answered = true
    this.session.parts.counters.answeredOurselves(status, headers?.['x-shadow-error'])
    if (this.stream.writableEnded) this.#whenSent()
    else this.stream.end(bytes, () => this.#whenSent())
  }

  async open(): Promise<Opened> {
    this.answered = true
    return opened(this.stream, this.head, this.#raw, this.signal)
  }

  forward(hop: Hop, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      if (this.gone || this.stream.closed) return reject(left())
      this.#settle = { resolve, reject }
      this.#hop = hop
      if (signal !== undefined && signal !== this.#gone?.signal) {
        this.#signal = signal
        signal.addEventListener('abort', this.#aborted, { once: true })
      }
      this.#attempt(false)
    })
  }

  /** Whether bytes of the body are awaited from the client. */
  get awaitsBody(): boolean {
    return this.#upstream !== undefined && !this.#asks && this.#body.awaited
  }

  /** Bytes of bodies that have passed; what is still in our buffers has not been taken by the client. */
  get moved(): number {
    return this.#body.received + this.sent - this.stream.writableLength
  }

  received(bytes: Buffer, end: number, lent: boolean): void {
    this.#answer?.received(bytes, end, lent)
  }

  ended(): void {
    this.#answer?.ended()
  }

  lost(cause: Error | undefined): void {
    if (this.#settle === undefined) return
    const stage = this.#stage()
    const sent = stage !== 'connect' && !this.#asks
    const repeatable =
      !this.#body.begun && !this.#repeated && (this.#upstream?.answered ?? 0) > 0 && this.#answer?.begun !== true
    this.#letGo(false)
    const { counters } = this.session.parts
    if (repeatable && (!sent || IDEMPOTENT.includes(this.method))) {
      this.#repeated = true
      counters.repeated += 1
      this.#attempt(true)
      return
    }
    const why = cause ?? new Error('the connection was closed')
    counters.failed(stage)
    this.failed(new UpstreamError(stage, sent, `${this.#hop?.address} ${SAYS[stage]}: ${why.message}`, why))
  }

  deaf(cause: Error): void {
    if (this.#deaf !== undefined) return
    this.#deaf = cause
    const { parts } = this.session
    parts.later(() => this.#answer?.begun !== true && this.#deaf === cause && this.#upstream?.destroy(cause))
    this.#body.drop()
  }

  /** The upstream says to go on (100). */
  goesOn(): void {
    if (!this.#asks) {
      this.#passContinue()
      return
    }
    this.#asks = false
    if (this.#upstream !== undefined) this.#body.flow(this.#upstream)
  }

  /** The answer was taken as a refusal, and is whole. */
  refused(refusal: Omit<ConstructorParameters<typeof Refusal>[0], 'sent'>): void {
    this.#letGo(false)
    this.#reject(new Refusal({ ...refusal, sent: this.#body.begun }))
  }

  /** The upstream or the request failed: the stream is reset where the client has a part of the answer. */
  failed(reason: unknown): void {
    this.#letGo(false)
    if (this.answered) this.cut()
    this.#reject(reason)
  }

  /** The whole answer has been given to the stream. */
  finished(reusable: boolean): void {
    const { stream } = this
    this.#letGo(reusable && this.#body.done && this.#upstream?.outlet.isWritten === true)
    if (stream.writableFinished) this.#whenSent()
    else stream.once('finish', () => this.#whenSent())
    if (!stream.writableEnded) stream.end()
  }

  /** Resets the stream, so that what was sent does not look whole. */
  cut(code: number = constants.NGHTTP2_INTERNAL_ERROR): void {
    this.#over = true
    this.stream.close(code)
  }

  /** Ends it, as its client is too slow. */
  tooSlow(late: boolean): void {
    if (late && !this.answered) {
      this.#letGo(false)
      this.#reject(new ShadowError('too-slow', 'the rest of the request came too slowly, or not at all'))
      return
    }
    this.#leave(new ShadowError('client-gone', 'the client took and gave bytes too slowly, or none at all'))
    this.cut(constants.NGHTTP2_CANCEL)
  }

  #attempt(fresh: boolean): void {
    const hop = this.#hop
    if (hop === undefined) return
    const { head, session } = this
    const { pool, out } = session.parts
    const upstream = pool.take(hop.address, fresh, !this.hasBody && IDEMPOTENT.includes(head.method))
    this.#upstream = upstream
    upstream.user = this
    this.#answer = new StreamAnswer(this, upstream, hop)
    this.#deaf = undefined
    try {
      composeRequest(out, head, hop, session.peer)
    } catch (error) {
      out.clear()
      this.failed(error) // a header of ours that is none
      return
    }
    out.send(upstream.outlet)
    if (!this.hasBody) return
    this.#asks = hop.expect === 'ask' && !head.expects
    if (this.#asks) return
    if (hop.expect === 'answer' && head.expects) {
      if (upstream.connected) this.#passContinue()
      else upstream.socket.once('connect', () => this.#passContinue())
    }
    this.#body.flow(upstream)
  }

  #passContinue(): void {
    const { stream } = this
    if (this.head.expects && !this.answered && !this.gone && !stream.closed)
      stream.additionalHeaders({ ':status': 100 })
  }

  /** What the upstream is sent of trailers. */
  get hop(): Hop | undefined {
    return this.#hop
  }

  /** Why its upstream takes nothing any more is known; its answer may still come. */
  get isDeaf(): boolean {
    return this.#deaf !== undefined
  }

  /** The body is larger than what is taken. */
  tooLarge(): void {
    const { parts } = this.session
    const error = tooLarge(parts.limits.bodyBytes)
    this.#letGo(false)
    if (this.#settle === undefined) this.answer(parts.refusal(error))
    else if (this.answered) this.cut()
    this.#reject(error)
  }

  /** The body is not what the head said, or its trailers are none. */
  malformed(fault: string): void {
    this.#letGo(false)
    if (this.answered) this.cut(constants.NGHTTP2_PROTOCOL_ERROR)
    this.#reject(new ShadowError('bad-input', `a body with ${fault}`))
  }

  #stage(): Stage {
    if (this.#upstream?.connected === false) return 'connect'
    if (this.answered) return 'body'
    return this.#body.done ? 'head' : 'send'
  }

  #letGo(reusable: boolean): void {
    const upstream = this.#upstream
    this.#upstream = this.#answer = undefined
    this.#body.halt()
    if (upstream === undefined) return
    if (reusable) this.session.parts.pool.give(upstream)
    else {
      upstream.user = undefined
      upstream.destroy()
    }
  }

  /** The last byte is on its way to the client. What is left of its request is not wanted, which is no error (RFC 9113, 8.1). */
  #whenSent(): void {
    if (this.#over) return
    this.#over = true
    const { stream } = this
    if (!this.#body.done) {
      stream.close(constants.NGHTTP2_NO_ERROR)
      stream.resume()
    }
    this.#settled()?.resolve()
  }

  /** The stream was reset, or is closed. */
  #ends(): void {
    if (this.#over) {
      this.gone = true
      return
    }
    const { stream } = this
    // A stream that has sent all may close before it says that it has finished.
    if (this.answered && stream.writableEnded && stream.writableLength === 0 && stream.rstCode === 0) {
      this.#whenSent()
      this.gone = true
      return
    }
    this.#leave(left())
  }

  #leave(reason: unknown): void {
    if (this.gone) return
    this.gone = true
    this.#letGo(false)
    this.#gone?.abort(reason)
    this.#reject(reason)
  }

  #reject(reason: unknown): void {
    this.#settled()?.reject(reason)
  }

  #settled(): Settle | undefined {
    const settle = this.#settle
    this.#settle = undefined
    this.#signal?.removeEventListener('abort', this.#aborted)
    this.#signal = undefined
    return settle
  }

  readonly #aborted = (): void => this.failed(this.#signal?.reason)
}

const NO_DATE = { sendDate: false } as Parameters<ServerHttp2Stream['respond']>[1]
