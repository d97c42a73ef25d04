import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { ShadowError } from '../../../errors.ts'
import type { Opened, OwnAnswer } from '../../exchange.ts'
import { clientTooSlow, requestTooSlow, tooLarge } from '../../guard/limits.ts'
import { newPace, type Pace } from '../../guard/transfer-rate.ts'
import type { NextHop } from '../../next-hop.ts'
import type { UpstreamConnection } from '../../upstream/connection.ts'
import type { Head } from '../../wire/head.ts'
import type { ClientOrigin } from '../client-origin.ts'
import { ForwardedExchange, left } from '../forwarded-exchange.ts'
import type { ServerContext } from '../server-context.ts'
import { Http2Answer } from './answer.ts'
import { ownFields } from './answer-fields.ts'
import { opened } from './opened.ts'
import { type BodyOwner, Http2RequestBody } from './request-body.ts'

export type Asked = { readonly head: Head; readonly raw: string[]; readonly ended: boolean }

/** The connection that a stream is on. */
export interface StreamConnection {
  readonly context: ServerContext
  readonly origin: ClientOrigin
  readonly socket: Socket
  /** The client has reset a stream before it was answered. */
  wasLeft(): void
}

/** A request on a stream of HTTP/2, which is forwarded as one of HTTP/1.1. */
export class Http2Exchange extends ForwardedExchange implements BodyOwner {
  readonly session: StreamConnection
  readonly stream: ServerHttp2Stream
  readonly pace: Pace = newPace()
  sent = 0
  readonly #raw: string[]
  readonly #body: Http2RequestBody
  #hasLeft = false
  #isOver = false

  constructor(session: StreamConnection, stream: ServerHttp2Stream, { head, raw, ended }: Asked) {
    super(head, session.context)
    this.session = session
    this.stream = stream
    this.#raw = raw
    this.#body = new Http2RequestBody(this, ended)
    stream
      .on('error', () => undefined) // `close` is handled instead
      .on('aborted', () => this.#ends())
      .on('close', () => this.#ends())
  }

  /** node:http2 reports a reset late if the request has no body, so `closed` is checked, too. */
  get gone(): boolean {
    return this.#hasLeft || this.stream.closed
  }

  get over(): boolean {
    return this.#isOver || this.#hasLeft
  }

  get host(): string | undefined {
    return this.head.host
  }

  get connection(): object {
    return this.session.socket
  }

  protected get origin(): ClientOrigin {
    return this.session.origin
  }

  protected get bodyBegun(): boolean {
    return this.#body.begun
  }

  protected get bodyDone(): boolean {
    return this.#body.done
  }

  answer({ status, headers, cookies = [], body = '' }: OwnAnswer): void {
    if (this.answered || this.gone) return
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    const fields = ownFields(status, { ...this.ownHeaders, ...headers }, bytes.length)
    for (const cookie of cookies) fields.push('set-cookie', cookie)
    this.stream.respond(fields, NO_DATE)
    this.answered = true
    this.context.counters.answeredOurselves(status, headers?.['x-shadow-error'])
    if (this.stream.writableEnded) this.#whenSent()
    else this.stream.end(bytes, () => this.#whenSent())
  }

  async open(): Promise<Opened> {
    this.opened = this.answered = true
    return opened(this.stream, this.head, this.#raw, this.signal)
  }

  /** Whether it is the client's turn to send bytes of the body. */
  get awaitsBody(): boolean {
    return this.upstream !== undefined && !this.asks && this.#body.awaited
  }

  /** Bytes of bodies that have passed. Bytes in our buffers have not been read by the client. */
  get moved(): number {
    return this.#body.received + this.sent - this.stream.writableLength
  }

  /** Resets the stream, so that an answer that was begun does not look complete. */
  cut(code: number = constants.NGHTTP2_INTERNAL_ERROR): void {
    this.#isOver = true
    this.stream.close(code)
  }

  /** Ends the exchange because its client is too slow. */
  tooSlow(late: boolean): void {
    if (late && !this.answered) {
      this.failed(requestTooSlow())
      return
    }
    this.#leave(clientTooSlow())
    this.cut(constants.NGHTTP2_CANCEL)
  }

  tooLarge(): void {
    const error = tooLarge(this.context.limits.bodyBytes)
    if (this.isForwarded) this.failed(error)
    else this.answer(this.context.refusal(error))
  }

  malformed(fault: string): void {
    if (this.answered) this.cut(constants.NGHTTP2_PROTOCOL_ERROR)
    this.failed(new ShadowError('bad-input', `a body with ${fault}`))
  }

  protected answerFrom(upstream: UpstreamConnection, hop: NextHop): Http2Answer {
    return new Http2Answer(this, upstream, hop)
  }

  protected passContinue(): void {
    if (this.head.expects && !this.answered && !this.gone) this.stream.additionalHeaders({ ':status': 100 })
  }

  protected sendBody(upstream: UpstreamConnection): void {
    this.context.out.send(upstream.writer)
    this.#body.flow(upstream)
  }

  protected dropBody(): void {
    this.#body.drop()
  }

  protected override halt(): void {
    this.#body.halt()
  }

  protected handedOut(): void {
    const { stream } = this
    if (stream.writableFinished) this.#whenSent()
    else stream.once('finish', () => this.#whenSent())
    if (!stream.writableEnded) stream.end()
  }

  /** The last byte is under way to the client. The rest of its request is refused without an error (RFC 9113, 8.1). */
  #whenSent(): void {
    if (this.#isOver) return
    this.#isOver = true
    const { stream } = this
    if (!this.#body.done) {
      stream.close(constants.NGHTTP2_NO_ERROR)
      stream.resume()
    }
    this.arrived()
  }

  /** The stream was reset, or is closed. */
  #ends(): void {
    const { stream } = this
    // A stream that has sent everything may close before its `finish`.
    if (!this.#isOver && this.answered && stream.writableEnded && stream.writableLength === 0 && stream.rstCode === 0)
      this.#whenSent()
    if (this.#isOver) this.#hasLeft = true
    else {
      if (!this.#hasLeft) this.session.wasLeft()
      this.#leave(left())
    }
  }

  #leave(reason: unknown): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    this.left(reason)
  }
}

const NO_DATE = { sendDate: false } as Parameters<ServerHttp2Stream['respond']>[1]
