import type { ServerHttp2Stream } from 'node:http2'
import type { NextHop } from '../../next-hop.ts'
import { writeBody } from '../../sockets/buffers.ts'
import type { UpstreamConnection } from '../../upstream/connection.ts'
import { Head, WHOLE } from '../../wire/head.ts'
import { parseTrailers } from '../../wire/parse.ts'
import { composeTrailers } from '../compose-heads.ts'
import type { ServerContext } from '../server-context.ts'
import { trailerLines } from './request-head.ts'

/** The exchange that the body belongs to. */
export interface BodyOwner {
  readonly head: Head
  readonly stream: ServerHttp2Stream
  readonly context: Pick<ServerContext, 'out' | 'limits' | 'counters'>
  readonly hop: NextHop | undefined
  /** Why the upstream accepts no more bytes. */
  readonly writeError: Error | undefined
  /** The body is larger than the limit. */
  tooLarge(): void
  /** The body contradicts the head, or its trailers are not well formed. */
  malformed(fault: string): void
}

/** Forwards the body of a request from a stream of HTTP/2 to an upstream of HTTP/1.1: with its length if the client sent one, otherwise in chunks. */
export class Http2RequestBody {
  /** A byte of the body was sent to an upstream, so the request cannot be sent again. */
  begun = false
  /** The whole body has been forwarded. */
  done: boolean
  received = 0
  readonly #exchange: BodyOwner
  #to: UpstreamConnection | undefined
  #waits = false
  #trailers: readonly string[] = []

  constructor(exchange: BodyOwner, ended: boolean) {
    this.#exchange = exchange
    this.done = ended
    if (!ended)
      exchange.stream.once('trailers', (_headers, _flags, ...rest: unknown[]) => {
        this.#trailers = (rest[0] as string[] | undefined) ?? []
      })
  }

  /** Whether it is the client's turn to send bytes. */
  get awaited(): boolean {
    return this.#to !== undefined && !this.done && !this.#waits
  }

  /** Forwards the body from now on. */
  flow(to: UpstreamConnection): void {
    this.#to = to
    this.#waits = false
    const { stream } = this.#exchange
    stream.on('data', this.#take).on('end', this.#end)
    // An empty body has ended before, and `end` is not emitted again.
    if (stream.readableEnded) this.#end()
    else stream.resume()
  }

  /** Stops forwarding. Bytes stay in the stream. */
  halt(): void {
    if (this.#to === undefined) return
    this.#to = undefined
    const { stream } = this.#exchange
    stream.off('data', this.#take).off('end', this.#end)
    if (!this.done) stream.pause()
  }

  /** Discards the rest of the body, since the upstream accepts no more. The client can finish its request. */
  drop(): void {
    this.#waits = false
    this.#exchange.stream.resume()
  }

  readonly #take = (chunk: Buffer): void => {
    const { head, context } = this.#exchange
    const { out, limits, counters } = context
    const to = this.#to
    this.begun = true
    this.received += chunk.length
    if (to === undefined || this.#exchange.writeError !== undefined) return
    if (head.chunked) {
      if (this.received > limits.bodyBytes) {
        counters.bodiesTooLarge += 1
        this.#exchange.tooLarge()
        return
      }
      out.text(`${chunk.length.toString(16)}\r\n`)
    } else if (this.received > head.contentLength) {
      this.#exchange.malformed('more bytes than its Content-Length')
      return
    }
    const { writer, socket } = to
    socket.cork()
    writeBody(out, writer, chunk, 0, chunk.length, false)
    if (head.chunked) out.lineEnd()
    out.send(writer)
    socket.uncork()
    if (!writer.isWritten) this.#waitFor(to)
  }

  readonly #end = (): void => {
    const { head, stream } = this.#exchange
    const to = this.#to
    // A stream that was reset emits `end`, too.
    if (to === undefined || stream.closed) return
    if (head.chunked) this.#endChunks(to)
    else if (this.received < head.contentLength) this.#exchange.malformed('fewer bytes than its Content-Length')
    else this.done = true
  }

  #endChunks(to: UpstreamConnection): void {
    const { hop, context } = this.#exchange
    const trailers = new Head()
    const lines = trailerLines(this.#trailers)
    const bytes = Buffer.from(lines ?? '', 'latin1')
    const code = parseTrailers(trailers, bytes, 0, bytes.length)
    if (hop === undefined || code !== WHOLE || trailers.length !== bytes.length) {
      this.#exchange.malformed('trailers that are none')
      return
    }
    this.begun = this.done = true
    const { out } = context
    out.text('0\r\n')
    composeTrailers(out, trailers, hop)
    out.send(to.writer)
  }

  #waitFor(to: UpstreamConnection): void {
    const { stream } = this.#exchange
    this.#waits = true
    stream.pause()
    to.writer.whenWritten(() => {
      if (this.#to !== to || !this.#waits) return
      this.#waits = false
      stream.resume()
    })
  }
}
