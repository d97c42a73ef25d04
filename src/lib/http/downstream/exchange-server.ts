import { createServer, type Server, type Socket } from 'node:net'
import { type Clock, systemClock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { ListenAddress } from '../../settings.ts'
import type { Buckets } from '../../shared/buckets.ts'
import { type Counted, Counters } from '../counters.ts'
import type { AnswerOf, Journey } from '../exchange.ts'
import { Gate, type GateOptions } from '../guard/connection-limits.ts'
import { IdleList } from '../guard/idle-connections.ts'
import { LIMITS, type Limits } from '../guard/limits.ts'
import { Sockets, type SocketsOptions } from '../guard/socket-budget.ts'
import { Resets } from '../guard/stream-resets.ts'
import { bindAll, CLIENT_SOCKET, close, type Listening, SOCKETS } from '../listening.ts'
import { problemAnswer } from '../problem-answer.ts'
import { Scratch } from '../sockets/buffers.ts'
import { directed } from '../tls/misdirected.ts'
import { Pool } from '../upstream/pool.ts'
import type { GoneUpstream } from '../upstream-target.ts'
import { Head } from '../wire/head.ts'
import { Client } from './h1/connection.ts'
import { Session } from './h2/connection.ts'
import type { Parts, Served } from './server-context.ts'
import { LOOK_MS, looks } from './sweep.ts'

const CONNECT_WITHIN_MS = 5_000
const UPSTREAM_IDLE_MS = 4_000
/** Many apps close idle connections after 2 to 5 s without saying so. */
const SURELY_OPEN_MS = 1_500
const PING_EVERY_MS = 30_000
const HEARD_WITHIN_MS = 1_000
const MOST_SPARE_HEADS = 1_024

export type ExchangesOptions = {
  readonly journey: Journey
  readonly log: Log
  /** How failures are answered; left out: by a problem document with all that there is to say. */
  readonly answerOf?: AnswerOf | undefined
  readonly clock?: Clock
  readonly limits?: Partial<Limits>
  readonly connections?: GateOptions
  readonly sockets?: SocketsOptions
  /** Streams that clients leave, counted by address, in all threads that share the memory. */
  readonly resets?: Buckets
  readonly connectWithinMs?: number
  /** A client with a WebSocket, or with requests over HTTP/2, that is silent for so long is pinged, and cut if it stays silent as long again. */
  readonly pingEveryMs?: number
  /** Read accepted sockets into reused memory, where this Node lets us. */
  readonly reusesMemory?: boolean
}

/** Serves exchanges on sockets, of HTTP/1 and HTTP/2. */
export class Exchanges implements Disposable {
  readonly counters = new Counters()
  readonly gate: Gate
  readonly #parts: Parts
  readonly #pool: Pool
  readonly #looks: Disposable
  readonly #clock: Clock
  readonly #answerOf: AnswerOf
  #closesIdleFrom = 0

  constructor(options: ExchangesOptions) {
    const { log, clock = systemClock, connectWithinMs = CONNECT_WITHIN_MS, pingEveryMs = PING_EVERY_MS } = options
    const journey = directed(options.journey)
    const { answerOf = (thrown, of) => problemAnswer(thrown, log, of) } = options
    this.#answerOf = answerOf
    const limits: Limits = { ...LIMITS, ...options.limits }
    const inLooks = (ms: number): number => Math.max(1, Math.round(ms / LOOK_MS))
    const sockets = new Sockets(options.sockets ?? {}, () => this.#pool.closeIdle() || this.#makeRoom())
    const resets = new Resets(clock, options.resets)
    const isShutOut = (client: string): boolean => resets.shutsOut(client)
    this.gate = new Gate({ answerOf, sockets, isShutOut, ...options.connections }, this.counters, () =>
      this.#makeRoom(),
    )
    this.#clock = clock
    this.#pool = new Pool(
      {
        idleLooks: inLooks(UPSTREAM_IDLE_MS),
        surelyOpenLooks: inLooks(SURELY_OPEN_MS),
        connectLooks: inLooks(connectWithinMs),
        connectWithinMs,
      },
      this.counters,
      sockets,
    )
    const spare: Head[] = []
    this.#parts = {
      pool: this.#pool,
      gate: this.gate,
      resets,
      out: new Scratch(),
      counters: this.counters,
      limits,
      clients: new Set(),
      sessions: new Set(),
      idle: new IdleList(),
      clock,
      lookMs: LOOK_MS,
      pingEveryMs,
      reusesMemory: options.reusesMemory ?? true,
      closing: false,
      serve: exchange => this.#serve(exchange, journey),
      refusal: (error, status = error.status) => ({ ...answerOf(error), status }),
      takeHead: () => spare.pop() ?? new Head(limits),
      giveHead: head => {
        head.reset()
        if (spare.length < MOST_SPARE_HEADS) spare.push(head)
      },
      later: then => void clock.after(HEARD_WITHIN_MS, then),
    }
    this.#looks = looks(this.#parts, this.gate, clock)
  }

  /** Serves a connection: plain, or what node:tls has decrypted of one that the gate let in before. */
  accept(socket: Socket, secure = false): void {
    if (!secure && !this.gate.enter(socket, { plain: true })) return
    if ((socket as { alpnProtocol?: unknown }).alpnProtocol === 'h2') new Session(socket, secure, this.#parts)
    else this.#parts.clients.add(new Client(socket, this.#parts, secure))
  }

  /** No request goes to this upstream any more; what it had in hand ends where it ended by itself. */
  forget(gone: GoneUpstream): void {
    this.#pool.forget(gone)
  }

  /** What is counted by now. */
  get counted(): Counted {
    return this.gate.counted
  }

  get open(): number {
    return this.#parts.clients.size + this.#parts.sessions.size
  }

  /** Ends idle connections and WebSockets now, and the others with their exchange. */
  drain(): void {
    this.#parts.closing = true
    for (const client of this.#parts.clients) client.drain()
    for (const session of this.#parts.sessions) session.drain()
  }

  [Symbol.dispose](): void {
    this.#parts.closing = true
    for (const client of this.#parts.clients) client.cut()
    for (const session of this.#parts.sessions) session.cut()
    this.gate[Symbol.dispose]()
    this.#looks[Symbol.dispose]()
    this.#pool[Symbol.dispose]()
  }

  /** Closes a connection that is idle, so that another can come in: the one that has been so for longest. */
  #makeRoom(): number {
    const oldest = this.#parts.idle.takeOldest()
    oldest?.cut()
    return oldest === undefined ? this.#closeOthersIdle() : 1
  }

  /** The same of those that no order is kept of. */
  #closeOthersIdle(): number {
    const now = this.#clock.now()
    // To look through all of them for each that comes would cost too much.
    if (now < this.#closesIdleFrom) return 0
    this.#closesIdleFrom = now + LOOK_MS
    let closed = 0
    for (const session of this.#parts.sessions) {
      if (!session.isIdle) continue
      session.cut()
      closed += 1
    }
    return closed
  }

  #serve(exchange: Served, journey: Journey): void {
    started(journey, exchange).then(
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

  #fail(exchange: Served, thrown: unknown): void {
    if (exchange.gone) return
    if (exchange.answered) {
      // half an answer must not look like a whole one
      exchange.cut()
      return
    }
    exchange.answer(this.#answerOf(thrown, exchange))
  }

  #recycle(exchange: Served): void {
    if (exchange.over) this.#parts.giveHead(exchange.head)
  }
}

/** The journey, whose failure is told by its promise in any case. */
function started(journey: Journey, exchange: Served): Promise<void> {
  try {
    return journey(exchange)
  } catch (error) {
    return Promise.reject(error)
  }
}

/** A net server whose connections the exchanges serve: for tests. @internal */
export function exchangeServer(exchanges: Exchanges): Server {
  return createServer({ ...CLIENT_SOCKET, allowHalfOpen: true }, socket => exchanges.accept(socket))
}

/**
 * Opens the server; disposing it closes idle connections, and those in use once they are done or `drainMs` has passed. Servers that listen
 * `beside` it, for the same exchanges, end with it.
 */
export async function listenFor(
  exchanges: Exchanges,
  at: ListenAddress,
  drainMs = 0,
  beside: readonly Server[] = [],
): Promise<Listening> {
  const servers = Array.from({ length: SOCKETS }, () => exchangeServer(exchanges))
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
