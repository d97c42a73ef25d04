import { createServer, type Server, type Socket } from 'node:net'
import { type Clock, systemClock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { ListenAddress } from '../../settings.ts'
import type { Buckets } from '../../shared/buckets.ts'
import { type Counted, Counters } from '../counters.ts'
import type { AnswerOf, RequestHandler } from '../exchange.ts'
import { ConnectionLimiter, type ConnectionLimits } from '../guard/connection-limits.ts'
import { IdleList } from '../guard/idle-connections.ts'
import { LIMITS, type Limits } from '../guard/limits.ts'
import { SocketBudget, type SocketBudgetOptions } from '../guard/socket-budget.ts'
import { StreamResets } from '../guard/stream-resets.ts'
import { bindAll, CLIENT_SOCKET, close, type Listening, SOCKETS } from '../listening.ts'
import type { GoneUpstream } from '../next-hop.ts'
import { problemAnswer } from '../problem-answer.ts'
import { OutputBuffer } from '../sockets/buffers.ts'
import { refuseMisdirected } from '../tls/misdirected.ts'
import { Pool, type Target } from '../upstream/pool.ts'
import { Head } from '../wire/head.ts'
import { Http1Connection } from './h1/connection.ts'
import { Http2Connection } from './h2/connection.ts'
import type { ServedExchange, ServerContext } from './server-context.ts'
import { SWEEP_MS, startSweep } from './sweep.ts'

const CONNECT_WITHIN_MS = 5_000
const UPSTREAM_IDLE_MS = 4_000
/** Many apps close idle connections after 2 to 5 s, and do not announce it. */
const SURELY_OPEN_MS = 1_500
const PING_EVERY_MS = 30_000
const HEARD_WITHIN_MS = 1_000
const MOST_SPARE_HEADS = 1_024

export type ExchangeServerOptions = {
  readonly handler: RequestHandler
  readonly log: Log
  /** Makes the answer to a failed request. Default: a problem document with all details. */
  readonly answerOf?: AnswerOf | undefined
  readonly clock?: Clock
  readonly limits?: Partial<Limits>
  readonly connections?: ConnectionLimits
  readonly sockets?: SocketBudgetOptions
  /** The resets of streams by client address, counted over all threads that share the memory. */
  readonly resets?: Buckets
  readonly connectWithinMs?: number
  /** After so long without a byte, a client with a WebSocket or with requests over HTTP/2 is pinged. It is cut if it stays silent as long again. */
  readonly pingEveryMs?: number
}

/** Serves exchanges of HTTP/1 and HTTP/2 on sockets. */
export class ExchangeServer implements Disposable {
  readonly counters = new Counters()
  readonly limiter: ConnectionLimiter
  readonly #context: ServerContext
  readonly #pool: Pool
  readonly #sweep: Disposable
  readonly #clock: Clock
  readonly #answerOf: AnswerOf
  #closesIdleFrom = 0

  constructor(options: ExchangeServerOptions) {
    const { log, clock = systemClock, connectWithinMs = CONNECT_WITHIN_MS, pingEveryMs = PING_EVERY_MS } = options
    const handler = refuseMisdirected(options.handler)
    const { answerOf = (thrown, of) => problemAnswer(thrown, log, of) } = options
    this.#answerOf = answerOf
    const limits: Limits = { ...LIMITS, ...options.limits }
    const inSweeps = (ms: number): number => Math.max(1, Math.round(ms / SWEEP_MS))
    const sockets = new SocketBudget(options.sockets ?? {}, () => this.#pool.closeIdle() || this.#makeRoom())
    const resets = new StreamResets(clock, options.resets)
    const isShutOut = (client: string): boolean => resets.shutsOut(client)
    this.limiter = new ConnectionLimiter({ answerOf, sockets, isShutOut, ...options.connections }, this.counters, () =>
      this.#makeRoom(),
    )
    this.#clock = clock
    this.#pool = new Pool(
      {
        idleSweeps: inSweeps(UPSTREAM_IDLE_MS),
        surelyOpenSweeps: inSweeps(SURELY_OPEN_MS),
        connectSweeps: inSweeps(connectWithinMs),
        connectWithinMs,
        sweepMs: SWEEP_MS,
        clock,
      },
      this.counters,
      sockets,
    )
    const spare: Head[] = []
    this.#context = {
      pool: this.#pool,
      limiter: this.limiter,
      resets,
      out: new OutputBuffer(),
      counters: this.counters,
      limits,
      http1Connections: new Set(),
      http2Connections: new Set(),
      idle: new IdleList(),
      clock,
      sweepMs: SWEEP_MS,
      pingEveryMs,
      closing: false,
      serve: exchange => this.#serve(exchange, handler),
      refusal: (error, status = error.status) => ({ ...answerOf(error), status }),
      takeHead: () => spare.pop() ?? new Head(limits),
      giveHead: head => {
        head.reset()
        if (spare.length < MOST_SPARE_HEADS) spare.push(head)
      },
      later: then => void clock.after(HEARD_WITHIN_MS, then),
    }
    this.#sweep = startSweep(this.#context, this.limiter, clock)
  }

  /** Serves a connection: a plain one, or a decrypted one that the limiter admitted before its handshake. */
  accept(socket: Socket, secure = false): void {
    if (!secure && !this.limiter.enter(socket, { plain: true })) return
    if ((socket as { alpnProtocol?: unknown }).alpnProtocol === 'h2') new Http2Connection(socket, secure, this.#context)
    else this.#context.http1Connections.add(new Http1Connection(socket, this.#context, secure))
  }

  /** Sends no more requests to this upstream. Its requests under way fail if it has died. */
  forget(gone: GoneUpstream): void {
    this.#pool.forget(gone)
  }

  /** Ends the requests under way at an upstream that does not answer: see `Pool.cut`. */
  cut(target: Target, cause: Error): void {
    this.#pool.cut(target, cause)
  }

  /** The values of the counters now. */
  get counted(): Counted {
    return this.limiter.counted
  }

  get open(): number {
    return this.#context.http1Connections.size + this.#context.http2Connections.size
  }

  /** Ends idle connections and WebSockets now, and other connections with their exchange. */
  drain(): void {
    this.#context.closing = true
    for (const client of this.#context.http1Connections) client.drain()
    for (const session of this.#context.http2Connections) session.drain()
  }

  [Symbol.dispose](): void {
    this.#context.closing = true
    for (const client of this.#context.http1Connections) client.cut()
    for (const session of this.#context.http2Connections) session.cut()
    this.limiter[Symbol.dispose]()
    this.#sweep[Symbol.dispose]()
    this.#pool[Symbol.dispose]()
  }

  /** Closes the connection that has been idle for longest, to make room for another. Returns how many it closed. */
  #makeRoom(): number {
    const oldest = this.#context.idle.takeOldest()
    oldest?.cut()
    return oldest === undefined ? this.#closeOthersIdle() : 1
  }

  /** Closes idle connections of HTTP/2, which are kept in no order. */
  #closeOthersIdle(): number {
    const now = this.#clock.now()
    // Searching all connections for each new one would cost too much.
    if (now < this.#closesIdleFrom) return 0
    this.#closesIdleFrom = now + SWEEP_MS
    let closed = 0
    for (const session of this.#context.http2Connections) {
      if (!session.isIdle) continue
      session.cut()
      closed += 1
    }
    return closed
  }

  #serve(exchange: ServedExchange, handler: RequestHandler): void {
    started(handler, exchange).then(
      () => {
        if (!exchange.answered && !exchange.opened && !exchange.gone) this.#fail(exchange, new Error('nobody answered'))
        this.#recycle(exchange)
      },
      thrown => {
        this.#fail(exchange, thrown)
        this.#recycle(exchange)
      },
    )
  }

  #fail(exchange: ServedExchange, thrown: unknown): void {
    if (exchange.gone) return
    if (exchange.answered) {
      // half an answer must not look like a whole one
      exchange.cut()
      return
    }
    exchange.answer(this.#answerOf(thrown, exchange))
  }

  #recycle(exchange: ServedExchange): void {
    if (exchange.over) this.#context.giveHead(exchange.head)
  }
}

/** Calls the handler. An error that it throws rejects the promise, too. */
function started(handler: RequestHandler, exchange: ServedExchange): Promise<void> {
  try {
    return handler(exchange)
  } catch (error) {
    return Promise.reject(error)
  }
}

/** A server of node:net for an exchange server. For tests. @internal */
export function netServer(exchanges: ExchangeServer): Server {
  return createServer({ ...CLIENT_SOCKET, allowHalfOpen: true }, socket => exchanges.accept(socket))
}

type Servers = { readonly beside?: readonly Server[]; readonly servers?: readonly Server[] }

/**
 * Opens the servers; by default they speak plain HTTP. Disposing the result closes idle connections at once, and busy ones when they are done
 * or after `drainMs`. Servers `beside` them, which serve the same exchanges, are closed with them.
 */
export async function listenFor(
  exchanges: ExchangeServer,
  at: ListenAddress,
  drainMs = 0,
  { beside = [], servers = Array.from({ length: SOCKETS }, () => netServer(exchanges)) }: Servers = {},
): Promise<Listening> {
  const bound = await bindAll(servers, at)
  return {
    ...bound,
    async [Symbol.asyncDispose]() {
      const cut = (): void => exchanges[Symbol.dispose]()
      const drain = (): void => exchanges.drain()
      await Promise.all([...servers, ...beside].map(one => close(one, drainMs, drain, cut)))
      cut()
    },
  }
}
