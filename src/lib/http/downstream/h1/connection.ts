import type { Socket } from 'node:net'
import { type FailureCode, ShadowError } from '../../../errors.ts'
import { plainAddress } from '../../../ip.ts'
import type { OwnAnswer } from '../../exchange.ts'
import { clientTooSlow, requestTooSlow, tooLarge } from '../../guard/limits.ts'
import { keepsPace } from '../../guard/transfer-rate.ts'
import { readInto } from '../../node-internals/read-into.ts'
import { type OutputBuffer, ReadBuffer } from '../../sockets/buffers.ts'
import { SocketWriter } from '../../sockets/socket-writer.ts'
import type { Tunnel } from '../../upgrade/tunnel.ts'
import { BodyFramer } from '../../wire/body-framer.ts'
import { type Head, MORE, WHOLE } from '../../wire/head.ts'
import { parseRequest } from '../../wire/parse.ts'
import { ClientOrigin } from '../client-origin.ts'
import { left } from '../forwarded-exchange.ts'
import type { IdleConnection, ServerContext } from '../server-context.ts'
import { Http1Exchange } from './exchange.ts'
import type { ClientConnection } from './exchange-connection.ts'
import { composeOwnAnswer } from './own-answer.ts'
import { ReadAhead } from './read-ahead.ts'

/** How many bytes are read ahead of an exchange: of a body that waits for a wake, or of pipelined requests. */
const MOST_AHEAD = 65_536

/** A client's connection of HTTP/1. It serves requests one after the other. */
export class Http1Connection implements ClientConnection, IdleConnection {
  readonly socket: Socket
  readonly writer: SocketWriter
  readonly context: ServerContext
  readonly requestBody = new BodyFramer()
  exchange: Http1Exchange | undefined
  gone = false
  closes = false
  readonly input = new ReadAhead()
  /** The memory that is reused for reading; undefined if each chunk has memory of its own. */
  readBuffer: ReadBuffer | undefined
  /** How many requests have begun. */
  served = 0
  /** Sweeps in the present state, and the pace of the client. */
  sweeps = 0
  moved = -1
  quietMs = 0
  owingMs = 0
  owingFrom = 0
  /** Set by idle-connections.ts only. */
  isIdle = false
  idledBefore: IdleConnection | undefined
  idledAfter: IdleConnection | undefined
  /** Our side has ended. Bytes are discarded until the client ends its side, too. */
  lingers = false
  /** The client has ended its side. It has left, or waits for its answers (see `sweep`). */
  hasEnded = false
  /** The tunnel after a switch of protocols. It gets all bytes that come. */
  #tunnel: Tunnel | undefined
  #head: Head | undefined
  #origin: ClientOrigin | undefined
  #working = false
  readonly #secure: boolean

  constructor(socket: Socket, context: ServerContext, secure: boolean) {
    this.socket = socket
    this.writer = new SocketWriter(socket, cause => void socket.destroy(cause))
    this.context = context
    this.#secure = secure
    socket.on('error', ignore).on('end', this.#ended).on('close', this.#closed)
    const readBuffer = new ReadBuffer((bytes, length, lent) => this.#received(bytes, length, lent))
    // What somebody has read of the connection and given back comes by `data` events only.
    if (socket.readableLength === 0 && readInto(socket, readBuffer.onread)) this.readBuffer = readBuffer
    else socket.on('data', this.#chunk)
    context.idle.add(this)
  }

  /** One connection may bring requests of HTTP/1.1 and of HTTP/1.0. */
  originOf({ minor }: Head): ClientOrigin {
    const version = minor === 0 ? '1.0' : '1.1'
    if (this.#origin?.version !== version) {
      const address = plainAddress(this.socket.remoteAddress ?? 'unknown')
      this.#origin = new ClientOrigin(address, this.#secure ? 'https' : 'http', version)
    }
    return this.#origin
  }

  get out(): OutputBuffer {
    return this.context.out
  }

  /** A part of a head has arrived. */
  get readsHead(): boolean {
    return this.exchange === undefined && !this.input.isEmpty
  }

  resume(): void {
    if (this.hasEnded && this.exchange !== undefined && !this.requestBody.done && this.input.isEmpty) {
      this.cut() // the rest of the request will never come
      return
    }
    if (this.gone || this.input.length >= MOST_AHEAD || !this.socket.isPaused()) return
    this.socket.resume()
  }

  wantsBulk(wanted: boolean): void {
    // A paused TLS socket still delivers what it has decrypted. That is safe only in lent memory, which is copied.
    if (this.readBuffer === undefined || this.#secure) return
    this.readBuffer.bulk = wanted
    this.readBuffer.written = this.exchange?.upstream?.writer.isWritten ?? false
  }

  dropBody(): void {
    const { requestBody: body, input } = this
    while (!body.done && !input.isEmpty && body.fault === undefined) {
      body.take(input.bytes, input.at, input.end)
      input.at = body.next
    }
    if (body.fault !== undefined) this.closes = true
  }

  answer(answer: OwnAnswer, own: Readonly<Record<string, string>> = {}): void {
    const { exchange } = this
    this.dropBody()
    if (!this.requestBody.done || exchange?.head.closes || this.context.closing) this.closes = true
    const { counters } = this.context
    const keepsAlive = exchange?.head.minor === 0 && !this.closes
    composeOwnAnswer(this.out, answer, own, { closes: this.closes, keepsAlive, isHead: exchange?.method === 'HEAD' })
    this.out.send(this.writer)
    counters.answeredOurselves(answer.status, answer.headers?.['x-shadow-error'])
  }

  isOn(exchange: object): boolean {
    return this.exchange === exchange
  }

  over(exchange: { readonly head: Head; over: boolean }): void {
    if (this.exchange !== exchange || this.gone) return
    this.exchange = undefined
    exchange.over = true
    this.sweeps = 0
    if (this.context.closing && this.input.isEmpty) this.closes = true // the head may have been sent before the drain began
    if (!this.requestBody.done || this.closes) {
      // A client that asked for the end sends nothing more. During a drain, one that still sends gets a reset, as on any idle connection.
      if (this.requestBody.done && (exchange.head.closes || this.context.closing)) this.socket.destroySoon()
      else this.linger()
      return
    }
    if (!this.input.isEmpty || this.hasEnded) {
      if (!this.#working) this.#work()
    } else this.context.idle.add(this)
    this.resume()
  }

  /** Ends our side and goes on reading. If we closed with unread bytes, the kernel would reset the connection, and the answer would be lost. */
  linger(): void {
    this.lingers = true
    this.sweeps = 0
    this.input.clear()
    this.socket.end()
    this.resume()
  }

  cut(): void {
    this.socket.destroy()
  }

  reset(): void {
    if (this.#secure) this.cut()
    else this.socket.resetAndDestroy()
  }

  drain(): void {
    if (this.#tunnel !== undefined) this.#tunnel.goAway()
    else if (this.exchange === undefined && !this.readsHead) this.cut()
  }

  sweep(): void {
    if (this.#tunnel !== undefined) return
    const { counters, limits, sweepMs } = this.context
    this.sweeps += 1
    const ms = this.sweeps * sweepMs
    if (this.lingers) {
      if (ms >= limits.lingerMs) this.cut()
    } else if (this.exchange !== undefined) this.#sweepExchange(this.exchange)
    else if (this.readsHead) {
      if (ms < limits.headWithinMs) return
      counters.lateHeads += 1
      this.refuse(new ShadowError('too-slow', `the head was not whole within ${limits.headWithinMs} ms`))
    } else if (ms >= limits.keepAliveMs || (this.served === 0 && ms >= limits.headWithinMs)) {
      counters.idle += 1
      this.cut()
    }
  }

  #sweepExchange(exchange: Http1Exchange): void {
    const { writer, socket } = this
    const { counters, limits, sweepMs } = this.context
    if (this.hasEnded) this.#probe()
    const late = exchange.awaitsBody
    // Bytes in our buffers have not been read by the client.
    const moved = socket.bytesRead + socket.bytesWritten - writer.waiting
    const owes = late || !writer.isWritten || (this.hasEnded && exchange.answered)
    if (keepsPace(this, moved, owes, sweepMs, limits)) {
      if (this.hasEnded && this.quietMs >= GOES_ON_WITHIN_MS && writer.isWritten) this.cut()
      return
    }
    if (late) counters.slowBodies += 1
    else counters.slowReaders += 1
    this.#tooSlow(exchange, late)
  }

  /** Finds out whether a client that has ended its side is still there. If it has closed the connection, a write is answered by a reset. */
  #probe(): void {
    const { exchange, writer, socket } = this
    if (!writer.isWritten) return
    // Any request of HTTP/1.1 may get an interim answer (RFC 9110, 15.2). An empty write reports a reset that has arrived.
    const asks = this.sweeps === 2 && exchange?.answered === false && exchange.head.minor === 1
    socket.write(asks ? 'HTTP/1.1 100 Continue\r\n\r\n' : '', 'latin1')
  }

  switchTo(tunnel: Tunnel): void {
    this.#tunnel = tunnel
    const early = this.input.take()
    this.socket.resume()
    if (early.length > 0) tunnel.up.received(early, early.length, true)
  }

  /** Refuses bytes that are no request, or a request that is not served. */
  refuse(error: ShadowError, status?: number): void {
    this.closes = true
    this.answer(this.context.refusal(error, status))
    this.linger()
  }

  readonly #chunk = (chunk: Buffer): void => this.#received(chunk, chunk.length, false)

  #received(bytes: Buffer, length: number, lent: boolean): void {
    if (this.#tunnel !== undefined) {
      this.#tunnel.up.received(bytes, length, lent)
      return
    }
    if (this.lingers || this.gone) return
    if (this.isIdle) {
      this.context.idle.remove(this)
      this.sweeps = 0
    }
    const { input } = this
    input.add(bytes, length, lent)
    this.#work()
    if (input.isEmpty) {
      input.clear()
      return
    }
    // The read buffer will be overwritten. Only `data` events give memory away.
    if (this.readBuffer !== undefined && input.bytes === bytes) input.keep()
    // Before an exchange, the limit of heads applies.
    if (input.length >= MOST_AHEAD && this.exchange !== undefined && !this.gone) this.socket.pause()
  }

  /** Processes the bytes that were read: for the current exchange, and for exchanges that can begin. */
  #work(): void {
    this.#working = true
    while (!this.gone && !this.lingers) {
      if (this.exchange !== undefined) {
        if (!this.requestBody.done) this.exchange.moveBody()
        if (this.exchange !== undefined) break
      } else if (this.input.isEmpty || !this.#begin()) break
    }
    this.#working = false
    // What is left is no complete request, and will never be one.
    if (this.hasEnded && this.exchange === undefined && !this.gone && !this.lingers) this.linger()
  }

  /** Parses the next head; false if it is incomplete or refused. */
  #begin(): boolean {
    this.#head ??= this.context.takeHead()
    const head = this.#head
    const { input } = this
    const code = parseRequest(head, input.bytes, input.at, input.end)
    if (code === MORE) return false
    const { counters, limits } = this.context
    if (code !== WHOLE) {
      counters.refusedHead(code, head.count === limits.headers)
      this.refuse(new ShadowError(FAULTS[code] ?? 'bad-input', head.fault), code)
      return false
    }
    if (head.contentLength > limits.bodyBytes) {
      counters.bodiesTooLarge += 1
      this.refuse(tooLarge(limits.bodyBytes))
      return false
    }
    this.#head = undefined
    input.at += head.length
    head.keep()
    this.sweeps = 0
    this.requestBody.start(head.requestFraming, head.contentLength)
    const exchange = new Http1Exchange(this, head)
    this.exchange = exchange
    counters.requests += 1
    this.served += 1
    // If the upstream does not switch, nobody can tell whether the bytes after the request are another request or the other protocol.
    if (head.wantsUpgrade) this.closes = true
    if (this.served >= limits.requestsPerConnection) {
      this.closes = true
      counters.servedMost += 1
    }
    this.context.serve(exchange)
    return true
  }

  readonly #ended = (): void => {
    if (this.#tunnel !== undefined) {
      this.#tunnel.up.ended()
      return
    }
    const { exchange, requestBody, socket, input } = this
    const lacks = requestBody.framing === 'length' && requestBody.left > input.length
    const awaits = exchange?.awaitsBody === true && input.isEmpty
    // The other protocol needs both sides of the connection.
    const isUseless = exchange?.head.wantsUpgrade === true && !exchange.answered
    if (exchange === undefined || lacks || awaits || isUseless || !socket.allowHalfOpen) this.cut()
    else {
      this.hasEnded = true
      this.sweeps = 0
    }
  }

  readonly #closed = (): void => {
    this.gone = true
    this.readBuffer?.close()
    this.context.http1Connections.delete(this)
    this.context.idle.remove(this)
    if (this.#head !== undefined) this.context.giveHead(this.#head)
    this.#head = undefined
    const { exchange } = this
    this.exchange = undefined
    if (this.#tunnel === undefined) exchange?.left(left())
    this.input.clear()
  }

  /** Ends an exchange whose client is too slow. If its request is late and nothing was answered yet, it gets an error. */
  #tooSlow(exchange: Http1Exchange, late: boolean): void {
    if (late && !exchange.answered) {
      this.closes = true
      exchange.failed(requestTooSlow())
      return
    }
    exchange.left(clientTooSlow())
    this.cut()
  }
}

/**
 * How long an answer may pause for a client that has ended its side. In the middle of an answer we can send nothing to find out whether the client is
 * still there, so it is cut then.
 */
const GOES_ON_WITHIN_MS = 10_000

const FAULTS: Readonly<Record<number, FailureCode>> = {
  414: 'target-too-long',
  431: 'head-too-large',
  508: 'loop-detected',
}

const ignore = (): void => undefined
