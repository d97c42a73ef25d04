import { validateHeaderName, validateHeaderValue } from 'node:http'
import { Readable, Writable } from 'node:stream'
import type { ShadowError } from '../../../errors.ts'
import type { StreamedRequest, StreamedResponse } from '../../exchange.ts'
import type { Head } from '../../wire/head.ts'
import { bodyFault } from './body-fault.ts'
import type { ClientConnection } from './exchange-connection.ts'
import { composeOwnHead, isBodiless } from './own-answer.ts'

/** An exchange whose body is read, and whose answer is written, by a handler of ours as streams. */
export interface StreamedExchange {
  readonly client: ClientConnection
  readonly head: Head
  answered: boolean
  /** Sends `100 Continue` to the client, if it waits for it. */
  passContinue(): void
  /** The whole answer has been written to the client's socket. */
  handedOut(): void
  /** Ends the answer that was begun, so that it does not look complete. */
  cut(): void
}

/** The request of an exchange as a stream. */
export class OwnRequest extends Readable implements StreamedRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** The handler has begun to read the body. */
  isRead = false
  readonly #exchange: StreamedExchange
  #isWanted = false

  constructor(exchange: StreamedExchange) {
    super()
    const { head } = exchange
    this.method = head.method
    this.url = head.target
    this.headers = head.firstValues
    this.#exchange = exchange
    this.on('error', ignore) // of a body that is not read
  }

  /** Whether it is the client's turn to send bytes of the body. */
  get awaitsBody(): boolean {
    return this.#isWanted && !this.#exchange.client.requestBody.done
  }

  override _read(): void {
    const { client } = this.#exchange
    if (!this.isRead) this.#exchange.passContinue()
    this.isRead = this.#isWanted = true
    this.moveBody()
    if (this.#isWanted) client.resume()
  }

  /** Takes the bytes of the body that have arrived, as far as they are wanted. */
  moveBody(): void {
    const { client } = this.#exchange
    const { input, requestBody: body } = client
    while (this.#isWanted && !body.done && !input.isEmpty) {
      const stop = body.take(input.bytes, input.at, input.end)
      const fault = bodyFault(body, client.context)
      if (fault !== undefined) {
        this.#fail(fault)
        return
      }
      const run = Buffer.from(input.bytes.subarray(input.at, stop))
      input.at = body.next
      if (run.length > 0) this.#isWanted = this.push(run)
    }
    if (!this.#isWanted || !body.done) return
    this.#isWanted = false
    this.push(null)
  }

  #fail(error: ShadowError): void {
    this.#exchange.client.closes = true
    this.#isWanted = false
    this.destroy(error)
  }
}

/** The answer of an exchange as a stream. The head is sent with the first bytes of the body. */
export class OwnResponse extends Writable implements StreamedResponse {
  headersSent = false
  readonly #exchange: StreamedExchange
  readonly #request: OwnRequest
  #status = 200
  #headers: Readonly<Record<string, string>> = {}
  /** How the body is written: in chunks, as it is, or not at all. */
  #body: 'chunked' | 'plain' | 'none' = 'none'
  #isWhole = false

  constructor(exchange: StreamedExchange, request: OwnRequest) {
    super()
    this.#exchange = exchange
    this.#request = request
    this.on('error', ignore) // of a write after the client has left, of which `close` tells
  }

  /** Throws for a header that is not well formed. */
  writeHead(status: number, headers: Readonly<Record<string, string>> = {}): this {
    for (const [name, value] of Object.entries(headers)) {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    }
    this.#status = status
    this.#headers = headers
    return this
  }

  flushHeaders(): void {
    this.#begin(undefined)
    this.#send()
  }

  override end(...given: readonly unknown[]): this {
    const [chunk] = given
    const body = typeof chunk === 'string' || chunk instanceof Uint8Array ? Buffer.from(chunk) : NOTHING
    if (!this.writableEnded && this.writableLength === 0) this.#begin(body.length)
    if (body.length > 0) super.end(body)
    else super.end()
    this.#send()
    return this
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const { out, writer } = this.#exchange.client
    this.#begin(undefined)
    if (chunk.length > 0 && this.#body !== 'none') {
      if (this.#body === 'chunked') out.text(`${chunk.length.toString(16)}\r\n`)
      out.copy(chunk, 0, chunk.length)
      if (this.#body === 'chunked') out.lineEnd()
    }
    this.#send()
    writer.whenWritten(() => done())
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#body === 'chunked') this.#exchange.client.out.text('0\r\n\r\n')
    this.#send()
    this.#isWhole = true
    done()
    this.#exchange.handedOut()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#isWhole) this.#exchange.cut()
    done(error)
  }

  /**
   * Composes the head, unless that is done. `length` is that of the body, if the body is complete. After the client has left nothing is
   * composed: the memory is shared by all connections, so the head would be sent to another client.
   */
  #begin(length: number | undefined): void {
    if (this.headersSent || this.destroyed) return
    this.headersSent = true
    const { client, head } = this.#exchange
    const { context, requestBody, out } = client
    const isOld = head.minor === 0
    const hasNone = head.method === 'HEAD' || isBodiless(this.#status)
    const framing = isBodiless(this.#status) ? 'none' : (length ?? (isOld ? 'none' : 'chunked'))
    // A handler that has answered without reading the body will not read it.
    if (length !== undefined && !this.#request.isRead) client.dropBody()
    if (!requestBody.done || head.closes || context.closing || (isOld && length === undefined && !hasNone))
      client.closes = true
    const { closes } = client
    const headers = this.#headers
    composeOwnHead(out, { status: this.#status, headers }, framing, { closes, keepsAlive: isOld && !closes })
    this.#body = hasNone ? 'none' : framing === 'chunked' ? 'chunked' : 'plain'
    this.#exchange.answered = true
    context.counters.answeredOurselves(this.#status, headers['x-shadow-error'])
  }

  #send(): void {
    const { out, writer } = this.#exchange.client
    if (!this.destroyed) out.send(writer)
  }
}

const NOTHING = Buffer.alloc(0)
const ignore = (): void => undefined
