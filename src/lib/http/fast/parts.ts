import type { OwnAnswer } from '../exchange.ts'
import type { SafePath } from '../safe.ts'
import type { Head } from '../wire/head.ts'
import type { Client } from './client.ts'
import type { FastExchange } from './exchange.ts'
import type { Scratch } from './memory.ts'
import type { Pool } from './pool.ts'

/** What is counted, in place, at the cost of an addition. */
export class Counters {
  connections = 0
  requests = 0
  /** Heads that were none, or too large. */
  refused = 0
  /** Requests sent once more as their pooled connection had been closed. */
  repeated = 0
  /** Connections given to the safe path. */
  handedOver = 0
  /** Clients cut since they dripped or stalled. */
  stalled = 0
  /** Answers by the hundreds of their status. */
  readonly byClass = [0, 0, 0, 0, 0, 0]

  answered(status: number): void {
    const hundreds = Math.min(5, (status / 100) | 0)
    this.byClass[hundreds] = (this.byClass[hundreds] ?? 0) + 1
  }
}

/** What the connections of one server share. */
export type Parts = {
  readonly pool: Pool
  readonly out: Scratch
  readonly safe: SafePath
  readonly counters: Counters
  readonly clients: Set<Client>
  readonly lookMs: number
  readonly reusesMemory: boolean
  /** The server is going away: connections end with their exchange. */
  closing: boolean
  serve(exchange: FastExchange): void
  refusal(status: number, fault: string): OwnAnswer
  takeHead(): Head
  giveHead(head: Head): void
  /** Calls back after a moment, when what a failed upstream had said would be here. */
  later(then: () => void): void
}
