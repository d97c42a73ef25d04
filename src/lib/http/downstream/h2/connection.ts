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

/** One connection of a client that speaks HTTP/2 (RFC 9113), and the requests on it. */
export class Http2Connection implements StreamConnection, MultiplexedConnection {
  readonly context: ServerContext
  readonly origin: ClientOrigin
  readonly exchanges = new Set<Http2Exchange>()
  readonly #session: ServerHttp2Session
  readonly socket: Socket
  #idleMs = 0
  #served = 0
  #ending = false
  /** Bytes that had come at the last look, and for how long none has since. */
  #heard = 0
  #quietMs = 0
  #asked = false
  /** Whom it counts for. */
  readonly #client: string | undefined
  #isCalmed = false

  constructor(socket: Socket, secure: boolean, context: ServerContext) {
    this.context = context
    this.socket = socket
    this.origin = new ClientOrigin(plainAddress(socket.remoteAddress ?? 'unknown'), secure ? 'https' : 'http', '2')
    this.#client = context.limiter.clientOf(this.origin.address)
    context.http2Connections.add(this)
    // Nothing is answered without a client that gives it room.
    socket.allowHalfOpen = false
    socket.once('close', () => context.http2Connections.delete(this))
    this.#session = performServerHandshake(
      socket,
      sessionOptions(context.limits, context.limiter.streamsFor(this.#client)),
    )
    this.#session.on('error', () => undefined) // what the client broke it is told by GOAWAY
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
   * Ends it with the requests on it. Those that are on their way to us are still served: the client is first told that it will end
   * (RFC 9113, 6.8), and what it sends after having heard of it is refused, for it to ask again elsewhere.
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
    // One connection that is closed leaves all of its streams at once.
    if (this.socket.destroyed || this.#isCalmed) return
    counters.resets += 1
    if (this.#client === undefined || resets.take(this.#client)) return
    counters.refusedResets += 1
    // Its other connections would each go on for what they have sent already.
    for (const session of context.http2Connections) session.calm(this.#client)
  }

  calm(client: string): void {
    if (this.#client === client) this.#calm()
  }

  #calm(): void {
    if (this.#isCalmed) return
    this.#isCalmed = true
    // The client may have ended it in this turn of the loop: node:http2 throws at a destroyed session.
    if (!this.#session.destroyed) this.#session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    this.#session.destroy()
  }

  cut(): void {
    this.#session.destroy()
    this.socket.destroy()
  }

  /** Looks whether it is of use, and its streams keep a pace. */
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
   * Whether bytes have come lately, if only the answer to a ping (RFC 9113, 6.7). A request that waits for hours shows nothing of its client;
   * and node:http2 stops reading while it writes, and was seen never to read again on a connection that its client had reset.
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
/** How long a client without a request may take to end the connection, too. */
const GOODBYE_MS = 2_000
