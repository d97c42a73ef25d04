import { ShadowError } from '../../errors.ts'
import { type Gauge, Gauges, gaugesMemory } from '../../shared/gauges.ts'

/** How many sockets of clients and upstreams may be open together, in all threads that share the gauge. */
export type SocketsOptions = { readonly most?: number | undefined; readonly gauge?: Gauge | undefined }

/**
 * One budget for the sockets of clients and of upstreams, so that they never use up the files that the rest of the process needs
 * (as nginx's `worker_connections` counts both).
 */
export class Sockets {
  readonly #most: number
  readonly #gauge: Gauge
  readonly #makeRoom: () => number

  /** `makeRoom` closes sockets that nobody would miss, and tells how many. */
  constructor({ most = Number.POSITIVE_INFINITY, gauge = ownGauge() }: SocketsOptions, makeRoom: () => number) {
    this.#most = most
    this.#gauge = gauge
    this.#makeRoom = makeRoom
  }

  /** Counts one more; false: there is no room, and none can be made. */
  take(): boolean {
    if (this.#gauge.take(this.#most)) return true
    if (this.#makeRoom() === 0) return false
    // The one that makes room is counted until its close is heard of, a moment later.
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
