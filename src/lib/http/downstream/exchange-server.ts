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
import { Pool } from '../upstream/pool.ts'
import { Head } from '../wire/head.ts'
import { Http1Connection } from './h1/connection.ts'
import { Http2Connection } from './h2/connection.ts'
import type { ServedExchange, ServerContext } from './server-context.ts'
import { SWEEP_MS, startSweep } from './sweep.ts'

const CONNECT_WITHIN_MS = 5_000
const UPSTREAM_IDLE_MS = 4_000
/** Many apps close idle connections after 2 to 5 s without saying so. */
const SURELY_OPEN_MS = 1_500
const PING_EVERY_MS = 30_000
const HEARD_WITHIN_MS = 1_000
const MOST_SPARE_HEADS = 1_024

export type ExchangeServerOptions = {
  readonly handler: RequestHandler
  readonly log: Log
  /** How failures are answered; left out: by a problem document with all that there is to say. */
  readonly answerOf?: AnswerOf | undefined
  readonly clock?: Clock
  readonly limits?: Partial<Limits>
  readonly connections?: ConnectionLimits
  readonly sockets?: SocketBudgetOptions
  /** Streams that clients leave, counted by address, in all threads that share the memory. */
  readonly resets?: Buckets
  readonly connectWithinMs?: number
  /** A client with a WebSocket, or with requests over HTTP/2, that is silent for so long is pinged, and cut if it stays silent as long again. */
  readonly pingEveryMs?: number
  /** Read accepted sockets into reused memory, where this Node lets us. */
  readonly reusesMemory?: boolean
}

/** Serves exchanges on sockets, of HTTP/1 and HTTP/2. */
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
      reusesMemory: options.reusesMemory ?? true,
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

  /** Serves a connection: plain, or what node:tls has decrypted of one that the gate let in before. */
  accept(socket: Socket, secure = false): void {
    if (!secure && !this.limiter.enter(socket, { plain: true })) return
    if ((socket as { alpnProtocol?: unknown }).alpnProtocol === 'h2') new Http2Connection(socket, secure, this.#context)
    else this.#context.http1Connections.add(new Http1Connection(socket, this.#context, secure))
  }

  /** No request goes to this upstream any more; what it had in hand ends where it ended by itself. */
  forget(gone: GoneUpstream): void {
    this.#pool.forget(gone)
  }

  /** What is counted by now. */
  get counted(): Counted {
    return this.limiter.counted
  }

  get open(): number {
    return this.#context.http1Connections.size + this.#context.http2Connections.size
  }

  /** Ends idle connections and WebSockets now, and the others with their exchange. */
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

  /** Closes a connection that is idle, so that another can come in: the one that has been so for longest. */
  #makeRoom(): number {
    const oldest = this.#context.idle.takeOldest()
    oldest?.cut()
    return oldest === undefined ? this.#closeOthersIdle() : 1
  }

  /** The same of those that no order is kept of. */
  #closeOthersIdle(): number {
    const now = this.#clock.now()
    // To look through all of them for each that comes would cost too much.
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

/** The journey, whose failure is told by its promise in any case. */
function started(handler: RequestHandler, exchange: ServedExchange): Promise<void> {
  try {
    return handler(exchange)
  } catch (error) {
    return Promise.reject(error)
  }
}

/** A net server whose connections the exchanges serve: for tests. @internal */
export function netServer(exchanges: ExchangeServer): Server {
  return createServer({ ...CLIENT_SOCKET, allowHalfOpen: true }, socket => exchanges.accept(socket))
}

/**
 * Opens the server; disposing it closes idle connections, and those in use once they are done or `drainMs` has passed. Servers that listen
 * `beside` it, for the same exchanges, end with it.
 */
export async function listenFor(
  exchanges: ExchangeServer,
  at: ListenAddress,
  drainMs = 0,
  beside: readonly Server[] = [],
): Promise<Listening> {
  const servers = Array.from({ length: SOCKETS }, () => netServer(exchanges))
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
