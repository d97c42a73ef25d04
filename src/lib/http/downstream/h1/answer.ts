import { writeBody } from '../../sockets/buffers.ts'
import { type AnsweredExchange, AnswerReader } from '../../upstream/answer-reader.ts'
import type { Framing, Head } from '../../wire/head.ts'
import { composeAnswer, composeTrailers, UNCHANGED } from '../compose-heads.ts'
import type { ClientConnection } from './exchange-connection.ts'

/** The exchange that the answer belongs to. */
export interface AnsweredByBytes extends AnsweredExchange {
  readonly client: ClientConnection
  readonly head: Head
  /** The upstream has switched to the requested protocol. These bytes came after its head. */
  switched(early: Buffer): void
}

/**
 * Forwards an answer to a client of HTTP/1: its bytes unchanged, and in chunks if the upstream's answer is not framed. Clients of HTTP/1.0 know
 * neither chunks nor interim answers. For them the end of the connection ends an answer without a length.
 */
export class Http1Answer extends AnswerReader<AnsweredByBytes> {
  #chunks = false

  protected get unchunks(): boolean {
    return this.exchange.head.minor === 0
  }

  protected passInterim(head: Head): void {
    if (this.exchange.head.minor === 0) return
    const { out, writer } = this.exchange.client
    composeAnswer(out, head, this.hop, UNCHANGED)
    out.send(writer)
  }

  protected override passSwitch(head: Head, early: Buffer): void {
    const { exchange } = this
    const { out, writer } = exchange.client
    if (!exchange.head.wantsUpgrade) {
      super.passSwitch(head, early)
      return
    }
    try {
      composeAnswer(out, head, this.hop, UNCHANGED)
    } catch (error) {
      out.clear()
      exchange.failed(error) // one of our own headers is not well formed
      return
    }
    out.send(writer)
    exchange.switched(early)
  }

  protected passHead(head: Head, framing: Framing): void {
    const { client, head: request } = this.exchange
    const isOld = request.minor === 0
    const unchunks = isOld && head.chunked
    this.#chunks = framing === 'close' && !isOld
    // The rest of a request that was answered early is not read, so no other request can follow on this connection.
    if (!client.requestBody.done || request.closes || client.context.closing) client.closes = true
    if (isOld && (framing === 'close' || framing === 'chunked')) client.closes = true
    const { closes } = client
    composeAnswer(client.out, head, this.hop, { closes, keepsAlive: isOld && !closes, chunks: this.#chunks, unchunks })
  }

  protected passBody(bytes: Buffer, from: number, end: number, lent: boolean): void {
    const { body } = this
    const { out, writer } = this.exchange.client
    let at = from
    while (!body.done && at < end) {
      const stop = body.take(bytes, at, end)
      if (body.fault !== undefined) {
        out.send(writer)
        this.bad(body.fault, end)
        return
      }
      if (this.#chunks && stop > at) out.text(`${(stop - at).toString(16)}\r\n`)
      writeBody(out, writer, bytes, at, stop, lent)
      if (this.#chunks && stop > at) out.lineEnd()
      at = body.next
      if (body.trailers !== undefined && !this.unchunks) composeTrailers(out, body.trailers, this.hop)
    }
    out.send(writer)
    const { readBuffer } = this.upstream
    const written = writer.isWritten
    if (body.done) {
      readBuffer.bulk = false
      readBuffer.written = written
      this.finish(this.reusable && at === end)
      return
    }
    if ((body.framing === 'length' && body.left > end) || end === bytes.length) readBuffer.bulk = true
    if (!written) this.#waitForClient()
  }

  protected passEnd(): void {
    const { out, writer } = this.exchange.client
    if (this.#chunks) out.text('0\r\n\r\n')
    out.send(writer)
  }

  #waitForClient(): void {
    const { upstream, exchange } = this
    upstream.socket.pause()
    exchange.client.writer.whenWritten(() => upstream.user === exchange && upstream.socket.resume())
  }
}
