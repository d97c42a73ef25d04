import type { Counters } from '../counters.ts'
import { type NextHop, type Refusal, UpstreamError } from '../next-hop.ts'
import type { OutputBuffer } from '../sockets/buffers.ts'
import type { BodyFramer } from '../wire/body-framer.ts'
import { Field } from '../wire/fields.ts'
import { type Framing, HEAD_LIMITS, Head, MORE, WHOLE } from '../wire/head.ts'
import { parseResponse } from '../wire/parse.ts'
import { AnswerCopy } from './answer-copy.ts'
import type { UpstreamConnection, UpstreamUser } from './connection.ts'

const MOST_OF_A_REFUSAL = 65_536
const LIMITS = { ...HEAD_LIMITS, headBytes: 65_536, headers: 256 }

/** The exchange that an answer belongs to. */
export interface AnsweredExchange extends UpstreamUser {
  readonly method: string
  readonly upstream: UpstreamConnection | undefined
  readonly context: { readonly out: OutputBuffer; readonly counters: Counters; readonly sweepMs: number }
  /** The head of the answer has been forwarded. */
  answered: boolean
  /** The upstream said `100 Continue`. */
  continues(): void
  /** The answer is a refusal (see `NextHop.refusal`), and complete. */
  refused(refusal: Omit<ConstructorParameters<typeof Refusal>[0], 'sent'>): void
  /** The answer cannot be forwarded to its end. */
  failed(reason: unknown): void
  /** The whole answer has been forwarded. `reusable`: the connection can serve another request. */
  finished(reusable: boolean): void
}

/** Reads the answer of an upstream to one request: its interim heads, its head, and its body or a refusal that is for us. */
export abstract class AnswerReader<E extends AnsweredExchange = AnsweredExchange> {
  /** A byte of the answer has come. */
  begun = false
  protected readonly exchange: E
  protected readonly upstream: UpstreamConnection
  protected readonly hop: NextHop
  protected readonly body: BodyFramer
  /** The connection can serve another request after this answer. */
  protected reusable = false
  #head: Head | undefined
  /** The bytes of a head that is not complete yet. */
  #part: Buffer | undefined
  #phase: 'head' | 'body' | 'refusal' | 'over' = 'head'
  #copy: AnswerCopy | undefined
  #refusal: { readonly head: Head; readonly body: Buffer[]; bytes: number } | undefined

  constructor(exchange: E, upstream: UpstreamConnection, hop: NextHop) {
    this.exchange = exchange
    this.upstream = upstream
    this.hop = hop
    this.body = upstream.framer
  }

  /** Forwards an interim head other than 100. */
  protected abstract passInterim(head: Head): void
  /** Forwards the head of a switch of protocols (101), and the bytes after it. */
  protected passSwitch(_head: Head, early: Buffer): void {
    this.bad('a switch of protocols that nobody asked for', early.length)
  }
  /** Forwards the final head; `ahead` bytes have arrived after it. Throws if the head cannot be forwarded. */
  protected abstract passHead(head: Head, framing: Framing, ahead: number): void
  /** Forwards bytes of the body. */
  protected abstract passBody(bytes: Buffer, from: number, end: number, lent: boolean): void
  /** The upstream has closed, which ends a body without framing. */
  protected abstract passEnd(): void
  /** Whether the framing of chunks is removed from the body. */
  protected abstract readonly unchunks: boolean

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
    if (this.#phase === 'body') {
      this.#copy?.received(bytes, at, end) // before the bytes are passed on, which may reuse their buffer
      this.passBody(bytes, at, end, lent)
    } else if (this.#phase === 'refusal') this.#collect(bytes, at, end)
  }

  /** The upstream has closed its side. That ends an answer without framing. */
  ended(): void {
    if ((this.#phase !== 'body' && this.#phase !== 'refusal') || !this.body.end()) return
    if (this.#phase === 'refusal') {
      this.#refuse()
      return
    }
    this.#copy?.ended()
    this.passEnd()
    this.finish(false)
  }

  /** The whole body has been forwarded. */
  protected finish(reusable: boolean): void {
    this.#phase = 'over'
    this.exchange.finished(reusable)
  }

  /** The bytes are no answer. Returns `end`, for the caller to return. */
  protected bad(fault: string, end: number): number {
    const stage = this.#phase === 'body' ? 'body' : 'head'
    this.#phase = 'over'
    this.exchange.failed(UpstreamError.refused(this.hop.address, stage, fault))
    return end
  }

  /** Parses heads up to the final one. Returns the offset at which the body begins. */
  #heads(bytes: Buffer, end: number): number {
    this.#head ??= spare.pop() ?? new Head(LIMITS)
    const head = this.#head
    for (let at = 0; ; ) {
      const code = parseResponse(head, bytes, at, end)
      if (code === MORE) {
        this.#part = Buffer.from(bytes.subarray(at, end))
        return end
      }
      if (code !== WHOLE) return this.bad(head.fault, end)
      at += head.length
      if (head.status >= 200) {
        this.#final(head, end - at)
        return at
      }
      if (head.status === 101) {
        this.passSwitch(head, bytes.subarray(at, end))
        return end
      }
      if (head.status === 100) this.exchange.continues()
      else this.passInterim(head)
      if (this.exchange.upstream !== this.upstream) return end
      head.reset()
    }
  }

  #final(head: Head, ahead: number): void {
    const { exchange, hop } = this
    const refused = hop.refuseAnswer?.()
    if (refused !== undefined) {
      this.#phase = 'over'
      exchange.failed(refused)
      return
    }
    const framing = head.responseFraming(exchange.method)
    const isRefusal = hop.refusal !== undefined && head.status >= 400 && hop.refusal(head.firstValues)
    this.body.start(framing, head.contentLength, isRefusal || this.unchunks)
    this.reusable = framing !== 'close' && !head.closes && head.minor === 1
    if (isRefusal) {
      head.keep()
      this.#refusal = { head, body: [], bytes: 0 }
      this.#phase = 'refusal'
      return
    }
    try {
      this.passHead(head, framing, ahead)
    } catch (error) {
      exchange.context.out.clear()
      this.#phase = 'over'
      exchange.failed(error)
      return
    }
    this.#phase = 'body'
    if (hop.copy !== undefined) this.#copy = AnswerCopy.of(hop, head, framing)
    exchange.answered = true
    exchange.context.counters.answered(head.status)
    hop.onAnswer?.(head.status)
    if (this.reusable) noteKeepAlive(head, this.upstream, exchange.context.sweepMs)
    this.#head = undefined
    head.reset()
    if (spare.length < MOST_SPARE) spare.push(head)
  }

  #collect(bytes: Buffer, from: number, end: number): void {
    const { body } = this
    const refusal = this.#refusal
    if (refusal === undefined) return
    let at = from
    while (!body.done && at < end && body.fault === undefined) {
      const stop = body.take(bytes, at, end)
      refusal.body.push(Buffer.from(bytes.subarray(at, stop)))
      refusal.bytes += stop - at
      at = body.next
    }
    if (body.done || body.fault !== undefined || refusal.bytes > MOST_OF_A_REFUSAL) this.#refuse()
  }

  #refuse(): void {
    if (this.#refusal === undefined) return
    this.#phase = 'over'
    const { head, body } = this.#refusal
    this.exchange.refused({ status: head.status, headers: head.firstValues, body: Buffer.concat(body).toString() })
  }
}

const MOST_SPARE = 256
const spare: Head[] = []

/** Takes over how long the upstream says it keeps an idle connection, less one second. */
function noteKeepAlive(head: Head, upstream: UpstreamConnection, sweepMs: number): void {
  for (let slot = 0; slot < head.count; slot += 1) {
    if (head.field(slot) !== Field.keepAlive) continue
    const seconds = Number(/timeout=(\d+)/.exec(head.value(slot))?.[1] ?? Number.NaN)
    if (seconds >= 0) upstream.mostIdle = Math.max(1, Math.floor(((seconds - 1) * 1_000) / sweepMs))
    return
  }
}
