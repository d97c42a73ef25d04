import { ShadowError } from '../../errors.ts'
import { type Gauge, Gauges, gaugesMemory } from '../../shared/gauges.ts'

/** The most sockets of clients and upstreams together, in all threads that share the gauge. */
export type SocketBudgetOptions = { readonly most?: number | undefined; readonly gauge?: Gauge | undefined }

/**
 * One budget for the sockets of clients and upstreams, as nginx's `worker_connections` is one. It leaves the rest of the process the file
 * descriptors that it needs.
 */
export class SocketBudget {
  readonly #most: number
  readonly #gauge: Gauge
  readonly #makeRoom: () => number

  /** `makeRoom` closes idle sockets and returns how many. */
  constructor({ most = Number.POSITIVE_INFINITY, gauge = ownGauge() }: SocketBudgetOptions, makeRoom: () => number) {
    this.#most = most
    this.#gauge = gauge
    this.#makeRoom = makeRoom
  }

  /** Counts one more socket; false if there is no room and none can be made. */
  take(): boolean {
    if (this.#gauge.take(this.#most)) return true
    if (this.#makeRoom() === 0) return false
    // The socket that makes room is counted until its `close` event, a moment later.
    this.#gauge.force()
    return true
  }

  give(): void {
    this.#gauge.give()
  }

  get used(): number {
    return this.#gauge.used
  }
}

const ownGauge = (): Gauge => new Gauges(gaugesMemory({ slots: 1 })).of('sockets')

export const FULL = new ShadowError('connections-full', 'as many connections are open as may be, and none is idle', {
  retryAfterMs: 5_000,
})
