import type { Counters } from '../counters.ts'
import { Upstream } from './upstream.ts'

export type PoolOptions = {
  /** Looks that an idle connection is kept. */
  readonly idleLooks: number
  /** The same for a request that may not be sent twice: an upstream that closes it just then would cost the request. */
  readonly surelyOpenLooks: number
  readonly connectLooks: number
  readonly connectWithinMs: number
}

/** Connections to upstreams, kept between requests. */
export class Pool {
  readonly #idle = new Map<string, Upstream[]>()
  readonly #all = new Set<Upstream>()
  readonly #options: PoolOptions
  readonly #counters: Counters

  constructor(options: PoolOptions, counters: Counters) {
    this.#options = options
    this.#counters = counters
  }

  /** A connection to the address: the one used last, or a fresh one. */
  take(address: string, fresh: boolean, repeatable: boolean): Upstream {
    const idle = fresh ? undefined : this.#idle.get(address)
    const last = idle?.at(-1)
    if (idle !== undefined && last !== undefined && (repeatable || last.looks <= this.#options.surelyOpenLooks)) {
      idle.pop()
      this.#counters.upstreamReuses += 1
      return last
    }
    const upstream = new Upstream(address, gone => this.#forgetOne(gone))
    this.#all.add(upstream)
    this.#counters.upstreamConnects += 1
    return upstream
  }

  /** Takes back a connection whose answer is whole. */
  give(upstream: Upstream): void {
    upstream.user = undefined
    upstream.looks = 0
    upstream.answered += 1
    const idle = this.#idle.get(upstream.address)
    if (idle === undefined) this.#idle.set(upstream.address, [upstream])
    else idle.push(upstream)
  }

  /** Closes the idle connections to the address. */
  forget(address: string): void {
    for (const upstream of this.#idle.get(address)?.slice() ?? []) upstream.destroy()
    this.#idle.delete(address)
  }

  /** Closes what has been idle, or dialling, for too long. */
  look(): void {
    const { connectLooks, connectWithinMs, idleLooks } = this.#options
    for (const upstream of this.#all) {
      upstream.looks += 1
      if (upstream.user === undefined) {
        if (upstream.looks >= Math.min(idleLooks, upstream.mostIdle)) upstream.destroy()
      } else if (!upstream.connected && upstream.looks > connectLooks) {
        this.#counters.lateConnects += 1
        upstream.destroy(new Error(`no connection within ${connectWithinMs} ms`))
      }
    }
  }

  get size(): number {
    return this.#all.size
  }

  [Symbol.dispose](): void {
    for (const upstream of this.#all) upstream.destroy()
  }

  #forgetOne(gone: Upstream): void {
    this.#all.delete(gone)
    const idle = this.#idle.get(gone.address)
    const at = idle?.lastIndexOf(gone) ?? -1
    if (idle === undefined || at < 0) return
    idle.splice(at, 1)
    if (idle.length === 0) this.#idle.delete(gone.address)
  }
}
