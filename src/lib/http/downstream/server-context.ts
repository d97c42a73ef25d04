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
  /** A handler of ours reads it and answers it as streams. */
  readonly opened: boolean
  /** The client has left. */
  readonly gone: boolean
  /** Nothing of the exchange is still to come. */
  readonly over: boolean
  /** Ends the answer that was begun, so that it does not look complete. */
  cut(): void
}

/** A connection of a client, of any version of HTTP. */
export interface Connection {
  /** Checks the limits of time. Called every `sweepMs`. */
  sweep(): void
  /** Ends the connection: now if it is idle, otherwise after the exchanges on it. */
  drain(): void
  /** Ends the connection at once, so that an answer that was begun does not look complete. */
  cut(): void
}

/** A connection of HTTP/1.1. */
export interface IdleConnection extends Connection, MayIdle<IdleConnection> {}

/** A connection of HTTP/2. */
export interface MultiplexedConnection extends Connection {
  /** The connection has no request. */
  readonly isIdle: boolean
  /** Ends the connection if it belongs to this client, which has reset too many streams (RFC 9113, 7: ENHANCE_YOUR_CALM). */
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
  readonly http2Connections: Set<MultiplexedConnection>
  readonly idle: IdleList<IdleConnection>
  readonly clock: Clock
  readonly sweepMs: number
  readonly pingEveryMs: number
  /** The server drains: connections end with their exchange. */
  closing: boolean
  serve(exchange: ServedExchange): void
  /** Makes the answer to an error. The default status is the error's own. */
  refusal(error: ShadowError, status?: number): OwnAnswer
  takeHead(): Head
  giveHead(head: Head): void
  /** Calls back after a moment, by when the last bytes of a failed upstream have arrived. */
  later(then: () => void): void
}
