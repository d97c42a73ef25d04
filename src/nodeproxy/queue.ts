import { ShadowError } from '../lib/errors.ts'
import type { AppName } from '../model/names.ts'
import { sayBytes } from '../model/quantities.ts'

/** How much may wait: requests, and bytes of them kept in memory. */
export type Bounds = { readonly requests: number; readonly bytes: number }

type Load = { requests: number; bytes: number }

const TRY_AGAIN_MS = 2_000

/** Room for requests that wait for a wake, bounded for each app and for the whole node. */
export class Queue {
  readonly #perApp: Bounds
  readonly #perNode: Bounds
  readonly #node: Load = { requests: 0, bytes: 0 }
  readonly #apps = new Map<AppName, Load>()

  constructor(bounds: { perApp: Bounds; perNode: Bounds }) {
    this.#perApp = bounds.perApp
    this.#perNode = bounds.perNode
  }

  /** The bytes of all requests that wait. */
  get bytes(): number {
    return this.#node.bytes
  }

  /** Takes room until it is disposed of; fails with `queue-full`. */
  join(app: AppName, bytes: number): Disposable {
    const load = this.#apps.get(app) ?? { requests: 0, bytes: 0 }
    refuseIfFull(`for ${app}`, load, this.#perApp, bytes)
    refuseIfFull('on this node', this.#node, this.#perNode, bytes)
    this.#apps.set(app, load)
    for (const one of [load, this.#node]) {
      one.requests++
      one.bytes += bytes
    }
    return {
      [Symbol.dispose]: () => {
        for (const one of [load, this.#node]) {
          one.requests--
          one.bytes -= bytes
        }
        if (load.requests === 0) this.#apps.delete(app)
      },
    }
  }
}

function refuseIfFull(where: string, load: Load, bounds: Bounds, bytes: number): void {
  const why =
    load.requests >= bounds.requests
      ? `${load.requests} requests wait ${where} already`
      : load.bytes + bytes > bounds.bytes
        ? `requests that wait ${where} take ${sayBytes(load.bytes)} already, of ${sayBytes(bounds.bytes)}`
        : undefined
  if (why !== undefined) throw new ShadowError('queue-full', why, { retryAfterMs: TRY_AGAIN_MS })
}
