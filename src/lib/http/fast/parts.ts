import type { ShadowError } from '../../errors.ts'
import type { Counters } from '../counters.ts'
import type { Exchange, OwnAnswer } from '../exchange.ts'
import type { Gate } from '../gate.ts'
import type { Resets } from '../h2/resets.ts'
import type { Session } from '../h2/session.ts'
import type { Limits } from '../limits.ts'
import type { SafePath } from '../safe.ts'
import type { Head } from '../wire/head.ts'
import type { Client } from './client.ts'
import type { IdleClients } from './idle.ts'
import type { Scratch } from './memory.ts'
import type { Pool } from './pool.ts'

/** An exchange as the server sees it. */
export interface Served extends Exchange {
  readonly head: Head
  /** The client has left. */
  readonly gone: boolean
  /** Nothing of it is to come any more. */
  readonly over: boolean
  /** Ends what was begun, so that it does not look whole. */
  cut(): void
}

/** What the connections of one server share. */
export type Parts = {
  readonly pool: Pool
  readonly gate: Gate
  readonly resets: Resets
  readonly out: Scratch
  readonly safe: SafePath
  readonly counters: Counters
  readonly limits: Limits
  readonly clients: Set<Client>
  /** Connections that speak HTTP/2. */
  readonly sessions: Set<Session>
  readonly idle: IdleClients
  readonly lookMs: number
  readonly pingEveryMs: number
  readonly reusesMemory: boolean
  /** The server is going away: connections end with their exchange. */
  closing: boolean
  serve(exchange: Served): void
  /** How an error is answered, by default with its own status. */
  refusal(error: ShadowError, status?: number): OwnAnswer
  takeHead(): Head
  giveHead(head: Head): void
  /** Calls back after a moment, when what a failed upstream had said would be here. */
  later(then: () => void): void
}
