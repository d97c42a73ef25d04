import type { IncomingMessage } from 'node:http'
import { type Hop, UpstreamError } from '../hop.ts'
import { BodyFramer } from '../wire/body.ts'
import { Field } from '../wire/fields.ts'
import { HEAD_LIMITS, Head, MORE, WHOLE } from '../wire/head.ts'
import { composeAnswer, composeTrailers } from './compose.ts'
import type { FastExchange } from './exchange.ts'
import { passOn } from './memory.ts'
import type { Upstream } from './upstream.ts'

export const MOST_OF_A_REFUSAL = 65_536
const LIMITS = { ...HEAD_LIMITS, headBytes: 65_536, headers: 256 }

/** The answer to one request, from the upstream to the client. */
export class Answer {
  /** A byte of it has come. */
  begun = false
  readonly #exchange: FastExchange
  readonly #upstream: Upstream
  readonly #hop: Hop
  readonly #body = new BodyFramer()
  #head: Head | undefined
  /** What came of a head that is not whole. */
  #part: Buffer | undefined
  #phase: 'head' | 'body' | 'refusal' | 'over' = 'head'
  #chunks = false
  #reusable = false
  #refusal: { head: Head; body: Buffer[]; bytes: number } | undefined

  constructor(exchange: FastExchange, upstream: Upstream, hop: Hop) {
    this.#exchange = exchange
    this.#upstream = upstream
    this.#hop = hop
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
    if (this.#phase === 'refusal') {
      this.#refuse()
      return
    }
    const { out } = this.#exchange.client.parts
    if (this.#chunks) out.text('0\r\n\r\n')
    out.send(this.#exchange.client.outlet)
    this.#finish(false)
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
        this.#final(head)
        return at
      }
      if (head.status === 101) return this.#bad('a switch of protocols that nobody asked for', end)
      this.#interim(head)
      if (this.#phase !== 'head') return end
      head.reset()
    }
  }

  #interim(head: Head): void {
    const { client } = this.#exchange
    if (head.status === 100) {
      this.#exchange.goesOn()
      return
    }
    const { out } = client.parts
    composeAnswer(out, head, this.#hop, { closes: false, chunks: false })
    out.send(client.outlet)
  }

  #final(head: Head): void {
    const exchange = this.#exchange
    const { client } = exchange
    const framing = head.responseFraming(exchange.method)
    this.#body.start(framing, head.contentLength)
    this.#reusable = framing !== 'close' && !head.closes && head.minor === 1
    const slot = this.#hop.refusal === undefined || head.status < 400 ? undefined : headersOf(head)
    if (slot !== undefined && this.#hop.refusal?.(slot)) {
      head.keep()
      this.#refusal = { head, body: [], bytes: 0 }
      this.#phase = 'refusal'
      return
    }
    this.#phase = 'body'
    this.#chunks = framing === 'close'
    // Answered before the whole request was there: it will not be read, so nothing can follow on this connection.
    if (!client.requestBody.done || exchange.head.closes || client.parts.closing) client.closes = true
    try {
      composeAnswer(client.parts.out, head, this.#hop, { closes: client.closes, chunks: this.#chunks })
    } catch (error) {
      client.parts.out.clear()
      this.#phase = 'over'
      exchange.failed(error) // a header of ours that is none
      return
    }
    exchange.answered = true
    client.parts.counters.answered(head.status)
    if (this.#reusable) noteKeepAlive(head, this.#upstream, client.parts.lookMs)
    this.#head = undefined
    giveHead(head)
  }

  #move(bytes: Buffer, from: number, end: number, lent: boolean): void {
    const { client } = this.#exchange
    const { outlet, parts } = client
    const { out } = parts
    const body = this.#body
    let at = from
    while (!body.done && at < end) {
      const stop = body.take(bytes, at, end)
      if (body.fault !== undefined) {
        out.send(outlet)
        this.#bad(body.fault, end)
        return
      }
      if (this.#chunks && stop > at) out.text(`${(stop - at).toString(16)}\r\n`)
      passOn(out, outlet, bytes, at, stop, lent)
      if (this.#chunks && stop > at) out.lineEnd()
      at = body.next
      if (body.trailers !== undefined) composeTrailers(out, body.trailers, this.#hop)
    }
    out.send(outlet)
    const { intake } = this.#upstream
    const written = outlet.isWritten
    if (body.done) {
      intake.bulk = false
      intake.written = written
      this.#finish(this.#reusable && at === end)
      return
    }
    if ((body.framing === 'length' && body.left > end) || end === bytes.length) intake.bulk = true
    if (!written) this.#waitForClient()
  }

  #waitForClient(): void {
    const { outlet } = this.#exchange.client
    const upstream = this.#upstream
    upstream.socket.pause()
    outlet.whenWritten(() => upstream.user === this.#exchange && upstream.socket.resume())
  }

  #finish(reusable: boolean): void {
    this.#phase = 'over'
    this.#exchange.finished(reusable)
  }

  #collect(bytes: Buffer, from: number, end: number): void {
    const refusal = this.#refusal
    if (refusal === undefined) return
    let at = from
    while (!this.#body.done && at < end && this.#body.fault === undefined) {
      const start = at
      // A chunked refusal is read with its framing, which whoever reads the words of it has to bear.
      const stop = this.#body.take(bytes, at, end)
      refusal.body.push(Buffer.from(bytes.subarray(start, stop)))
      refusal.bytes += stop - start
      at = this.#body.next
    }
    if (this.#body.done || this.#body.fault !== undefined || refusal.bytes > MOST_OF_A_REFUSAL) this.#refuse()
  }

  #refuse(): void {
    const refusal = this.#refusal
    if (refusal === undefined) return
    this.#phase = 'over'
    const { head } = refusal
    const bytes = Buffer.concat(refusal.body)
    const body = this.#body.framing === 'chunked' ? dechunked(bytes) : bytes
    this.#exchange.refused({ status: head.status, headers: headersOf(head), body: body.toString() })
  }

  #bad(fault: string, end: number): number {
    const stage = this.#phase === 'body' ? 'body' : 'head'
    this.#phase = 'over'
    this.#exchange.failed(new UpstreamError(stage, true, `${this.#hop.address} answered with ${fault}`, undefined))
    return end
  }
}

const spare: Head[] = []
/** A head for an answer, empty. */
export const takeHead = (): Head => spare.pop() ?? new Head(LIMITS)
/** Takes one back that nobody looks at any more. */
export function giveHead(head: Head): void {
  head.reset()
  if (spare.length < 256) spare.push(head)
}

/** The first value of each header, by its name in lower case. */
export function headersOf(head: Head): IncomingMessage['headers'] {
  const headers: Record<string, string> = {}
  for (let slot = head.count - 1; slot >= 0; slot -= 1) headers[head.name(slot).toLowerCase()] = head.value(slot)
  return headers
}

/** The content of a chunked body that was found well framed. */
function dechunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const line = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16)
    if (line < 0 || !(size > 0)) break
    parts.push(bytes.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
  return Buffer.concat(parts)
}

/** Heeds what the upstream says of how long it keeps an idle connection, and leaves it alone a second before. */
export function noteKeepAlive(head: Head, upstream: Upstream, lookMs: number): void {
  for (let slot = 0; slot < head.count; slot += 1) {
    if (head.field(slot) !== Field.keepAlive) continue
    const seconds = Number(/timeout=(\d+)/.exec(head.value(slot))?.[1] ?? Number.NaN)
    if (seconds >= 0) upstream.mostIdle = Math.max(1, Math.floor(((seconds - 1) * 1_000) / lookMs))
    return
  }
}
