import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { type Clock, systemClock } from '../../clock.ts'
import { ShadowError, systemCode } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { ListenAddress } from '../../settings.ts'
import { problemAnswer } from '../answers.ts'
import type { Journey } from '../exchange.ts'
import { Forwarder } from '../forward.ts'
import { SafePath } from '../safe.ts'
import type { Listening } from '../server.ts'
import { HEAD_LIMITS, Head, type HeadLimits } from '../wire/head.ts'
import { Client } from './client.ts'
import type { FastExchange } from './exchange.ts'
import { LOOK_MS, looks, type Patience } from './looks.ts'
import { Scratch } from './memory.ts'
import { Counters, type Parts } from './parts.ts'
import { Pool } from './pool.ts'

const PATIENCE: Patience = {
  headWithinMs: 60_000,
  keepAliveMs: 75_000,
  stalledAfterMs: 300_000,
  leastBytesPerSecond: 0,
  rateOverMs: 30_000,
  lingerMs: 30_000,
}
const CONNECT_WITHIN_MS = 5_000
const UPSTREAM_IDLE_MS = 4_000
/** Many apps close idle connections after 2 to 5 s without saying so. */
const SURELY_OPEN_MS = 1_500
const KEEPALIVE_PROBE_AFTER_MS = 30_000
const HEARD_WITHIN_MS = 1_000
const MOST_SPARE_HEADS = 1_024

export type ExchangesOptions = {
  readonly journey: Journey
  readonly log: Log
  readonly clock?: Clock
  readonly limits?: HeadLimits
  readonly patience?: Partial<Patience>
  readonly connectWithinMs?: number
  /** A WebSocket's client that is silent for so long is pinged, and cut if it stays silent as long again. */
  readonly pingEveryMs?: number
  /** Read accepted sockets into reused memory, where this Node lets us. */
  readonly reusesMemory?: boolean
  /** Asked of each connection before a byte of it is read; false closes it. */
  readonly admits?: ((socket: Socket) => boolean) | undefined
}

/** Serves exchanges on sockets: by the fast path as long as nothing unusual comes, else by node:http. */
export class Exchanges implements Disposable {
  readonly counters = new Counters()
  readonly #parts: Parts
  readonly #pool: Pool
  readonly #looks: Disposable
  readonly #forwarder: Forwarder
  readonly #admits: ((socket: Socket) => boolean) | undefined

  constructor(options: ExchangesOptions) {
    const { journey, log, clock = systemClock, limits = HEAD_LIMITS, connectWithinMs = CONNECT_WITHIN_MS } = options
    const patience = { ...PATIENCE, ...options.patience }
    const inLooks = (ms: number): number => Math.max(1, Math.round(ms / LOOK_MS))
    this.#admits = options.admits
    this.#forwarder = new Forwarder({
      clock,
      connectWithinMs,
      stalledAfterMs: patience.stalledAfterMs,
      ...(options.pingEveryMs !== undefined && { pingEveryMs: options.pingEveryMs }),
    })
    this.#pool = new Pool({
      idleLooks: inLooks(UPSTREAM_IDLE_MS),
      surelyOpenLooks: inLooks(SURELY_OPEN_MS),
      connectLooks: inLooks(connectWithinMs),
      connectWithinMs,
    })
    const spare: Head[] = []
    this.#parts = {
      pool: this.#pool,
      out: new Scratch(),
      safe: new SafePath({ journey, forwarder: this.#forwarder, log, drains: () => this.#parts.closing }),
      counters: this.counters,
      clients: new Set(),
      lookMs: LOOK_MS,
      reusesMemory: options.reusesMemory ?? true,
      closing: false,
      serve: exchange => this.#serve(exchange, journey, log),
      refusal: (status, fault) => ({ ...problemAnswer(new ShadowError('bad-input', fault), log), status }),
      takeHead: () => spare.pop() ?? new Head(limits),
      giveHead: head => {
        head.reset()
        if (spare.length < MOST_SPARE_HEADS) spare.push(head)
      },
      later: then => void clock.after(HEARD_WITHIN_MS, then),
    }
    this.#looks = looks(this.#parts, patience, clock)
  }

  /** Serves a connection: plain, or what node:tls has decrypted. */
  accept(socket: Socket, secure = false): void {
    if (this.#admits?.(socket) === false) return void socket.destroy()
    this.counters.connections += 1
    this.#parts.clients.add(new Client(socket, this.#parts, secure))
  }

  /** Closes the idle connections to an upstream that is going away: another may get its address. */
  forget(address: string): void {
    this.#pool.forget(address)
    this.#forwarder.forget(address)
  }

  get open(): number {
    return this.#parts.clients.size
  }

  /** Ends idle connections now, and the others with their exchange. */
  drain(): void {
    this.#parts.closing = true
    for (const client of this.#parts.clients) if (client.exchange === undefined && !client.readsHead) client.cut()
    this.#parts.safe.server.closeIdleConnections()
  }

  [Symbol.dispose](): void {
    this.#parts.closing = true
    for (const client of this.#parts.clients) client.cut()
    this.#parts.safe[Symbol.dispose]()
    this.#looks[Symbol.dispose]()
    this.#pool[Symbol.dispose]()
    this.#forwarder[Symbol.dispose]()
  }

  #serve(exchange: FastExchange, journey: Journey, log: Log): void {
    started(journey, exchange).then(
      () => {
        if (!exchange.answered && !exchange.client.gone) this.#fail(exchange, new Error('nobody answered'), log)
        this.#recycle(exchange)
      },
      thrown => {
        this.#fail(exchange, thrown, log)
        this.#recycle(exchange)
      },
    )
  }

  #fail(exchange: FastExchange, thrown: unknown, log: Log): void {
    if (exchange.client.gone) return
    if (exchange.answered) {
      // half an answer must not look like a whole one
      exchange.client.cut()
      return
    }
    exchange.answer(problemAnswer(thrown, log, exchange))
  }

  #recycle(exchange: FastExchange): void {
    if (exchange.over) this.#parts.giveHead(exchange.head)
  }
}

/** The journey, whose failure is told by its promise in any case. */
function started(journey: Journey, exchange: FastExchange): Promise<void> {
  try {
    return journey(exchange)
  } catch (error) {
    return Promise.reject(error)
  }
}

/** A net server whose connections the exchanges serve. */
export function exchangeServer(exchanges: Exchanges): Server {
  return createServer(
    { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_PROBE_AFTER_MS },
    socket => exchanges.accept(socket),
  )
}

/** Opens the server; disposing it closes idle connections, and those in use once they are done or `drainMs` has passed. */
export async function listenFor(exchanges: Exchanges, at: ListenAddress, drainMs = 0): Promise<Listening> {
  const server = exchangeServer(exchanges)
  server.listen({ port: at.port, host: at.host, backlog: 4_096 })
  try {
    await once(server, 'listening')
  } catch (cause) {
    const why = systemCode(cause) === 'EADDRINUSE' ? 'it is in use' : String(cause)
    throw new ShadowError('bad-input', `cannot listen on ${at.host}:${at.port}: ${why}`, { cause })
  }
  const { port } = server.address() as AddressInfo
  const host = at.host.includes(':') ? `[${at.host}]` : at.host
  return {
    address: `${host}:${port}`,
    port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      exchanges.drain()
      const cut = setTimeout(() => exchanges[Symbol.dispose](), drainMs)
      await closed
      clearTimeout(cut)
      exchanges[Symbol.dispose]()
    },
  }
}
