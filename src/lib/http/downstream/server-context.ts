import type { Clock } from '../../clock.ts'
import type { ShadowError } from '../../errors.ts'
import type { Counters } from '../counters.ts'
import type { Exchange, OwnAnswer } from '../exchange.ts'
import type { ConnectionLimiter } from '../guard/connection-limits.ts'
import type { IdleList, MayIdle } from '../guard/idle-connections.ts'
import type { Limits } from '../guard/limits.ts'
import type { StreamResets } from '../guard/stream-resets.ts'
import type { OutputBuffer } from '../sockets/buffers.ts'
import type { Pool } from '../upstream/pool.ts'
import type { Head } from '../wire/head.ts'

/** An exchange as the server sees it. */
export interface ServedExchange extends Exchange {
  readonly head: Head
  /** A handler of ours has it as streams, and answers. */
  readonly opened: boolean
  /** The client has left. */
  readonly gone: boolean
  /** Nothing of it is to come any more. */
  readonly over: boolean
  /** Ends what was begun, so that it does not look whole. */
  cut(): void
}

/** A connection of a client, of whichever version of HTTP. */
export interface Connection {
  /** Checks its limits of time; called every `lookMs`. */
  sweep(): void
  /** Ends it now where it is idle, else with the exchanges that are on it. */
  drain(): void
  /** Ends it at once, so that what was sent does not look whole. */
  cut(): void
}

/** A connection of HTTP/1.1. */
export interface IdleConnection extends Connection, MayIdle<IdleConnection> {}

/** A connection of HTTP/2. */
export interface MultiplexedConnection extends Connection {
  /** No request is on it. */
  readonly isIdle: boolean
  /** Ends it where it is this client's, which has left too many streams (RFC 9113, 7: ENHANCE_YOUR_CALM). */
  calm(client: string): void
}

/** What the connections of one server share. */
export type ServerContext = {
  readonly pool: Pool
  readonly limiter: ConnectionLimiter
  readonly resets: StreamResets
  readonly out: OutputBuffer
  readonly counters: Counters
  readonly limits: Limits
  readonly http1Connections: Set<Connection>
  /** Connections that speak HTTP/2. */
  readonly http2Connections: Set<MultiplexedConnection>
  readonly idle: IdleList<IdleConnection>
  readonly clock: Clock
  readonly sweepMs: number
  readonly pingEveryMs: number
  readonly reusesMemory: boolean
  /** The server is going away: connections end with their exchange. */
  closing: boolean
  serve(exchange: ServedExchange): void
  /** How an error is answered, by default with its own status. */
  refusal(error: ShadowError, status?: number): OwnAnswer
  takeHead(): Head
  giveHead(head: Head): void
  /** Calls back after a moment, when what a failed upstream had said would be here. */
  later(then: () => void): void
}
