import { passOn } from '../../sockets/buffers.ts'
import { type AnsweredExchange, UpstreamAnswer } from '../../upstream/answer-reader.ts'
import type { Framing, Head } from '../../wire/head.ts'
import { composeAnswer, composeTrailers, UNCHANGED } from '../compose-heads.ts'
import type { ClientConnection } from './exchange-connection.ts'

/** The exchange that it answers. */
export interface AnsweredByBytes extends AnsweredExchange {
  readonly client: ClientConnection
  readonly head: Head
  /** The upstream has switched to the protocol that was asked for; these bytes came behind its head. */
  switched(early: Buffer): void
}

/**
 * An answer on its way to a client of HTTP/1.1: its bytes as they are, chunked where its upstream tells no end. A client of HTTP/1.0 knows
 * neither chunks nor interim answers: the end of its connection ends an answer without a length.
 */
export class Answer extends UpstreamAnswer<AnsweredByBytes> {
  #chunks = false

  protected get unchunks(): boolean {
    return this.exchange.head.minor === 0
  }

  protected passInterim(head: Head): void {
    if (this.exchange.head.minor === 0) return
    const { out, outlet } = this.exchange.client
    composeAnswer(out, head, this.hop, UNCHANGED)
    out.send(outlet)
  }

  protected override passSwitch(head: Head, early: Buffer): void {
    const { exchange } = this
    const { out, outlet } = exchange.client
    if (!exchange.head.wantsUpgrade) {
      super.passSwitch(head, early)
      return
    }
    try {
      composeAnswer(out, head, this.hop, UNCHANGED)
    } catch (error) {
      out.clear()
      exchange.failed(error) // a header of ours that is none
      return
    }
    out.send(outlet)
    exchange.switched(early)
  }

  protected passHead(head: Head, framing: Framing): void {
    const { client, head: request } = this.exchange
    const isOld = request.minor === 0
    const unchunks = isOld && head.chunked
    this.#chunks = framing === 'close' && !isOld
    // Answered before the whole request was there: it will not be read, so nothing can follow on this connection.
    if (!client.requestBody.done || request.closes || client.parts.closing) client.closes = true
    if (isOld && (framing === 'close' || framing === 'chunked')) client.closes = true
    const { closes } = client
    composeAnswer(client.out, head, this.hop, { closes, keepsAlive: isOld && !closes, chunks: this.#chunks, unchunks })
  }

  protected passBody(bytes: Buffer, from: number, end: number, lent: boolean): void {
    const { body } = this
    const { out, outlet } = this.exchange.client
    let at = from
    while (!body.done && at < end) {
      const stop = body.take(bytes, at, end)
      if (body.fault !== undefined) {
        out.send(outlet)
        this.bad(body.fault, end)
        return
      }
      if (this.#chunks && stop > at) out.text(`${(stop - at).toString(16)}\r\n`)
      passOn(out, outlet, bytes, at, stop, lent)
      if (this.#chunks && stop > at) out.lineEnd()
      at = body.next
      if (body.trailers !== undefined && !this.unchunks) composeTrailers(out, body.trailers, this.hop)
    }
    out.send(outlet)
    const { intake } = this.upstream
    const written = outlet.isWritten
    if (body.done) {
      intake.bulk = false
      intake.written = written
      this.finish(this.reusable && at === end)
      return
    }
    if ((body.framing === 'length' && body.left > end) || end === bytes.length) intake.bulk = true
    if (!written) this.#waitForClient()
  }

  protected passEnd(): void {
    const { out, outlet } = this.exchange.client
    if (this.#chunks) out.text('0\r\n\r\n')
    out.send(outlet)
  }

  #waitForClient(): void {
    const { upstream, exchange } = this
    upstream.socket.pause()
    exchange.client.outlet.whenWritten(() => upstream.user === exchange && upstream.socket.resume())
  }
}
