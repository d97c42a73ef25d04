import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { ShadowError } from '../../../errors.ts'
import { plainAddress } from '../../../ip.ts'
import { TOO_MANY } from '../../guard/connection-limits.ts'
import { keepsPace } from '../../guard/transfer-rate.ts'
import { ClientOrigin } from '../client-origin.ts'
import type { MultiplexedConnection, ServerContext } from '../server-context.ts'
import { Http2Exchange, type StreamConnection } from './exchange.ts'
import { readHead } from './request-head.ts'
import { CONNECTION_WINDOW, sessionOptions } from './session-options.ts'

/** A client's connection of HTTP/2 (RFC 9113), with the requests on it. */
export class Http2Connection implements StreamConnection, MultiplexedConnection {
  readonly context: ServerContext
  readonly origin: ClientOrigin
  readonly exchanges = new Set<Http2Exchange>()
  readonly #session: ServerHttp2Session
  readonly socket: Socket
  #idleMs = 0
  #served = 0
  #ending = false
  /** Bytes that had arrived at the last sweep, and for how long none has since. */
  #heard = 0
  #quietMs = 0
  #asked = false
  /** The client that the connection counts for. */
  readonly #client: string | undefined
  #isCalmed = false

  constructor(socket: Socket, secure: boolean, context: ServerContext) {
    this.context = context
    this.socket = socket
    this.origin = new ClientOrigin(plainAddress(socket.remoteAddress ?? 'unknown'), secure ? 'https' : 'http', '2')
    this.#client = context.limiter.clientOf(this.origin.address)
    context.http2Connections.add(this)
    // An answer of HTTP/2 needs the client's flow control, so a client that ends its side has left.
    socket.allowHalfOpen = false
    socket.once('close', () => context.http2Connections.delete(this))
    this.#session = performServerHandshake(
      socket,
      sessionOptions(context.limits, context.limiter.streamsFor(this.#client)),
    )
    this.#session.on('error', () => undefined) // GOAWAY tells the client about its error
    if (this.#client !== undefined && context.resets.shutsOut(this.#client)) {
      context.counters.refusedResets += 1
      this.#calm()
      return
    }
    this.#session.setLocalWindowSize(CONNECTION_WINDOW)
    this.#session.on('stream', (stream, _headers, _flags, raw: unknown) => this.#begins(stream, raw as string[]))
  }

  get isIdle(): boolean {
    return this.exchanges.size === 0
  }

  /**
   * Ends the connection after the requests on it. Requests that are under way to us are still served: a first GOAWAY announces the end (RFC 9113, 6.8).
   * Later requests are refused, and the client may send them elsewhere.
   */
  drain(): void {
    if (this.#ending || this.#session.destroyed) return
    this.#ending = true
    this.#idleMs = 0
    const close = (): void => {
      if (!this.#session.destroyed) this.#session.close()
    }
    this.#session.goaway(constants.NGHTTP2_NO_ERROR, LAST_STREAM)
    if (this.isIdle || !this.#session.ping(close)) close()
  }

  wasLeft(): void {
    const { context } = this
    const { counters, resets } = context
    // Closing a connection resets all of its streams, which is no attack.
    if (this.socket.destroyed || this.#isCalmed) return
    counters.resets += 1
    if (this.#client === undefined || resets.take(this.#client)) return
    counters.refusedResets += 1
    // The client's other connections may have sent many requests, too.
    for (const session of context.http2Connections) session.calm(this.#client)
  }

  calm(client: string): void {
    if (this.#client === client) this.#calm()
  }

  #calm(): void {
    if (this.#isCalmed) return
    this.#isCalmed = true
    // The client may have ended the session in this turn of the event loop, and node:http2 throws for a destroyed session.
    if (!this.#session.destroyed) this.#session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    this.#session.destroy()
  }

  cut(): void {
    this.#session.destroy()
    this.socket.destroy()
  }

  /** Checks whether the connection is used, and whether its streams keep their pace. */
  sweep(): void {
    const { counters, limits, sweepMs } = this.context
    if (this.isIdle) {
      this.#idleMs += sweepMs
      if (this.#ending || this.#session.destroyed) {
        if (this.#idleMs >= GOODBYE_MS) this.cut()
      } else if (
        this.#idleMs >= (this.#served > 0 ? limits.keepAliveMs : Math.min(limits.headWithinMs, limits.keepAliveMs))
      ) {
        counters.idle += 1
        this.drain()
      }
      return
    }
    this.#idleMs = 0
    if (!this.#isThere()) {
      counters.unanswered += 1
      this.cut()
      return
    }
    for (const exchange of this.exchanges) {
      const late = exchange.awaitsBody
      const owes = late || exchange.stream.writableLength > 0
      if (keepsPace(exchange.pace, exchange.moved, owes, sweepMs, limits)) continue
      if (late) counters.slowBodies += 1
      else counters.slowReaders += 1
      exchange.tooSlow(late)
    }
  }

  /**
   * Tells whether bytes have arrived lately, if only the answer to a ping (RFC 9113, 6.7). A request that waits for hours does not show whether its
   * client is there. Moreover node:http2 stops reading while it writes, and was seen never to read again after a client's reset.
   */
  #isThere(): boolean {
    const { sweepMs, pingEveryMs } = this.context
    const { bytesRead } = this.socket
    if (bytesRead !== this.#heard) {
      this.#heard = bytesRead
      this.#quietMs = 0
      this.#asked = false
      return true
    }
    this.#quietMs += sweepMs
    if (this.#quietMs < pingEveryMs) return true
    if (this.#asked) return false
    this.#asked = true
    this.#quietMs = 0
    if (!this.#session.destroyed) this.#session.ping(() => undefined)
    return true
  }

  #begins(stream: ServerHttp2Stream, raw: string[]): void {
    const { context } = this
    const { counters, limits } = context
    const ended = stream.endAfterHeaders
    const head = context.takeHead()
    const refused = readHead(head, raw, ended)
    const exchange = new Http2Exchange(this, stream, { head, raw, ended })
    this.exchanges.add(exchange)
    const counted = this.#client !== undefined && context.limiter.enterStream(this.#client)
    stream.once('close', () => {
      this.exchanges.delete(exchange)
      if (counted) context.limiter.leaveStream(this.#client ?? '')
    })
    this.#served += 1
    this.#idleMs = 0
    if (this.#served >= limits.requestsPerConnection && !this.#ending) {
      counters.servedMost += 1
      this.drain()
    }
    if (refused !== undefined) {
      counters.refusedHead(refused.status, head.count === limits.headers)
      exchange.answer(context.refusal(new ShadowError('bad-input', refused.fault), refused.status))
    } else if (!counted && this.#client !== undefined) exchange.answer(context.refusal(TOO_MANY))
    else if (head.contentLength > limits.bodyBytes) exchange.tooLarge()
    else {
      counters.requests += 1
      context.serve(exchange)
    }
  }
}

const LAST_STREAM = 2 ** 31 - 1
/** How long a client without a request may take to end its side of the connection. */
const GOODBYE_MS = 2_000
