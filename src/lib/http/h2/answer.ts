import type { ServerHttp2Stream } from 'node:http2'
import { giveHead, headersOf, MOST_OF_A_REFUSAL, noteKeepAlive, takeHead } from '../fast/answer.ts'
import { left } from '../fast/exchange.ts'
import type { Upstream } from '../fast/upstream.ts'
import { type Hop, UpstreamError } from '../hop.ts'
import { BodyFramer } from '../wire/body.ts'
import { type Head, MORE, WHOLE } from '../wire/head.ts'
import type { StreamExchange } from './exchange.ts'
import { answerFields, interimFields, trailerFields } from './fields.ts'

/** What may wait for the client's window before no more is read from the upstream. */
const MOST_WAITING = 131_072

/** The answer to one request, from an upstream of HTTP/1.1 to a stream of HTTP/2. */
export class StreamAnswer {
  /** A byte of it has come. */
  begun = false
  readonly #exchange: StreamExchange
  readonly #upstream: Upstream
  readonly #hop: Hop
  readonly #body = new BodyFramer()
  #head: Head | undefined
  /** What came of a head that is not whole. */
  #part: Buffer | undefined
  #phase: 'head' | 'body' | 'refusal' | 'over' = 'head'
  #reusable = false
  /** The stream ends by trailers, be there any or not: else node:http2 would end it like a whole one when it is reset. */
  #openEnd = false
  #refusal: { head: Head; body: Buffer[]; bytes: number } | undefined

  constructor(exchange: StreamExchange, upstream: Upstream, hop: Hop) {
    this.#exchange = exchange
    this.#upstream = upstream
    this.#hop = hop
  }

  get #stream(): ServerHttp2Stream {
    return this.#exchange.stream
  }

  received(bytes: Buffer, end: number, lent: boolean): void {
    this.begun = true
    let at = 0
    if (this.#phase === 'head') {
      if (this.#part !== undefined) {
        bytes = Buffer.concat([this.#part, bytes.subarray(0, end)])
        end = bytes.length
        lent = false
        this.#part = undefined
      }
      at = this.#heads(bytes, end)
    }
    if (this.#phase === 'body') this.#move(bytes, at, end, lent)
    else if (this.#phase === 'refusal') this.#collect(bytes, at, end)
  }

  /** The upstream has ended: that ends an answer without framing. */
  ended(): void {
    if ((this.#phase !== 'body' && this.#phase !== 'refusal') || !this.#body.end()) return
    if (this.#phase === 'refusal') this.#refuse()
    else this.#finish(false)
  }

  /** Reads heads until the final one is whole; gives where the body begins. */
  #heads(bytes: Buffer, end: number): number {
    this.#head ??= takeHead()
    const head = this.#head
    for (let at = 0; ; ) {
      const code = head.parseResponse(bytes, at, end)
      if (code === MORE) {
        this.#part = Buffer.from(bytes.subarray(at, end))
        return end
      }
      if (code !== WHOLE) return this.#bad(head.fault, end)
      at += head.length
      if (head.status >= 200) {
        this.#final(head, end - at)
        return at
      }
      if (head.status === 101) return this.#bad('a switch of protocols that nobody asked for', end)
      if (head.status === 100) this.#exchange.goesOn()
      else if (!this.#stream.headersSent && !this.#stream.closed)
        this.#stream.additionalHeaders(interimFields(head, this.#hop))
      head.reset()
    }
  }

  /** Answers, where so many bytes have come after the head. */
  #final(head: Head, ahead: number): void {
    const exchange = this.#exchange
    const framing = head.responseFraming(exchange.method)
    this.#body.start(framing, head.contentLength, true)
    this.#reusable = framing !== 'close' && !head.closes && head.minor === 1
    if (this.#hop.refusal !== undefined && head.status >= 400 && this.#hop.refusal(headersOf(head))) {
      head.keep()
      this.#refusal = { head, body: [], bytes: 0 }
      this.#phase = 'refusal'
      return
    }
    if (head.status > 599) return void this.#bad(`the status ${head.status}, which is none`, 0)
    if (this.#stream.closed) return void this.#exchange.failed(left())
    this.#phase = 'body'
    const whole = framing === 'none' || (framing === 'length' && head.contentLength <= ahead)
    this.#openEnd = !whole
    try {
      this.#stream.respond(answerFields(head, this.#hop), {
        endStream: framing === 'none',
        waitForTrailers: this.#openEnd,
        sendDate: false,
      } as Parameters<ServerHttp2Stream['respond']>[1])
    } catch (error) {
      this.#phase = 'over'
      exchange.failed(error) // a header that HTTP/2 has no room for
      return
    }
    exchange.answered = true
    exchange.session.parts.counters.answered(head.status)
    if (this.#reusable) noteKeepAlive(head, this.#upstream, exchange.session.parts.lookMs)
    this.#head = undefined
    giveHead(head)
  }

  #move(bytes: Buffer, from: number, end: number, lent: boolean): void {
    const stream = this.#stream
    const body = this.#body
    let at = from
    while (!body.done && at < end) {
      const stop = body.take(bytes, at, end)
      if (body.fault !== undefined) {
        this.#bad(body.fault, end)
        return
      }
      if (stop > at) {
        const run = bytes.subarray(at, stop)
        this.#exchange.sent += run.length
        stream.write(lent ? Buffer.from(run) : run)
      }
      at = body.next
    }
    if (body.done) this.#finish(this.#reusable && at === end)
    else if (stream.writableLength > MOST_WAITING) this.#waitForClient()
  }

  #waitForClient(): void {
    const upstream = this.#upstream
    upstream.socket.pause()
    this.#stream.once('drain', () => upstream.user === this.#exchange && upstream.socket.resume())
  }

  #finish(reusable: boolean): void {
    this.#phase = 'over'
    const stream = this.#stream
    if (this.#openEnd) {
      const trailers = trailerFields(this.#body.trailers, this.#hop)
      stream.once('wantTrailers', () => stream.sendTrailers(trailers))
    }
    this.#exchange.finished(reusable)
  }

  #collect(bytes: Buffer, from: number, end: number): void {
    const refusal = this.#refusal
    if (refusal === undefined) return
    let at = from
    while (!this.#body.done && at < end && this.#body.fault === undefined) {
      const stop = this.#body.take(bytes, at, end)
      refusal.body.push(Buffer.from(bytes.subarray(at, stop)))
      refusal.bytes += stop - at
      at = this.#body.next
    }
    if (this.#body.done || this.#body.fault !== undefined || refusal.bytes > MOST_OF_A_REFUSAL) this.#refuse()
  }

  #refuse(): void {
    const refusal = this.#refusal
    if (refusal === undefined) return
    this.#phase = 'over'
    const { head, body } = refusal
    this.#exchange.refused({ status: head.status, headers: headersOf(head), body: Buffer.concat(body).toString() })
  }

  #bad(fault: string, end: number): number {
    const stage = this.#phase === 'body' ? 'body' : 'head'
    this.#phase = 'over'
    this.#exchange.failed(new UpstreamError(stage, true, `${this.#hop.address} answered with ${fault}`, undefined))
    return end
  }
}
