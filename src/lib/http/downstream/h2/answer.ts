import type { ServerHttp2Stream } from 'node:http2'
import { UpstreamError } from '../../next-hop.ts'
import { type AnsweredExchange, AnswerReader } from '../../upstream/answer-reader.ts'
import type { Framing, Head } from '../../wire/head.ts'
import { left } from '../forwarded-exchange.ts'
import { answerFields, interimFields, trailerFields } from './answer-fields.ts'

/** How many bytes may wait for the client's window before the upstream is paused. */
const MOST_WAITING = 131_072

/** The exchange that the answer belongs to. */
export interface AnsweredByStream extends AnsweredExchange {
  readonly stream: ServerHttp2Stream
  /** Bytes of the answer written to the stream. */
  sent: number
}

/** Forwards an answer to a stream of HTTP/2. */
export class Http2Answer extends AnswerReader<AnsweredByStream> {
  /** The stream is ended by trailers, even by none. Otherwise node:http2 would end it like a complete one when it is reset. */
  #openEnd = false

  protected get unchunks(): boolean {
    return true
  }

  get #stream(): ServerHttp2Stream {
    return this.exchange.stream
  }

  protected passInterim(head: Head): void {
    const stream = this.#stream
    if (!stream.headersSent && !stream.closed) stream.additionalHeaders(interimFields(head, this.hop))
  }

  protected passHead(head: Head, framing: Framing, ahead: number): void {
    if (head.status > 599)
      throw UpstreamError.refused(this.hop.address, 'head', `the status ${head.status}, which is none`)
    if (this.#stream.closed) throw left()
    const whole = framing === 'none' || (framing === 'length' && head.contentLength <= ahead)
    this.#openEnd = !whole
    try {
      this.#stream.respond(answerFields(head, this.hop), {
        endStream: framing === 'none',
        waitForTrailers: this.#openEnd,
        sendDate: false,
      } as Parameters<ServerHttp2Stream['respond']>[1])
    } catch (cause) {
      throw UpstreamError.refused(this.hop.address, 'head', `what HTTP/2 has not: ${(cause as Error).message}`, cause)
    }
  }

  protected passBody(bytes: Buffer, from: number, end: number, lent: boolean): void {
    const stream = this.#stream
    const { body } = this
    let at = from
    while (!body.done && at < end) {
      const stop = body.take(bytes, at, end)
      if (body.fault !== undefined) {
        this.bad(body.fault, end)
        return
      }
      if (stop > at) {
        const run = bytes.subarray(at, stop)
        this.exchange.sent += run.length
        stream.write(lent ? Buffer.from(run) : run)
      }
      at = body.next
    }
    if (body.done) {
      this.passEnd()
      this.finish(this.reusable && at === end)
    } else if (stream.writableLength > MOST_WAITING) this.#waitForClient()
  }

  protected passEnd(): void {
    if (!this.#openEnd) return
    const stream = this.#stream
    const trailers = trailerFields(this.body.trailers, this.hop)
    stream.once('wantTrailers', () => stream.sendTrailers(trailers))
  }

  #waitForClient(): void {
    const { upstream, exchange } = this
    upstream.socket.pause()
    this.#stream.once('drain', () => upstream.user === exchange && upstream.socket.resume())
  }
}
