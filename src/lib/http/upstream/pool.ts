import type { Counters } from '../counters.ts'
import { FULL, type Sockets } from '../guard/socket-budget.ts'
import type { GoneUpstream, Hop } from '../upstream-target.ts'
import { Upstream } from './connection.ts'

export type PoolOptions = {
  /** Looks that an idle connection is kept. */
  readonly idleLooks: number
  /** The same for a request that may not be sent twice: an upstream that closes it just then would cost the request. */
  readonly surelyOpenLooks: number
  readonly connectLooks: number
  readonly connectWithinMs: number
}

/** A request that needs a connection to an upstream, and gets one later. */
export interface Waiter {
  /** Looks since it began to wait; kept by the pool. */
  waitedLooks: number
  /** It wants a connection that was just opened: one that was idle may have been closed meanwhile. */
  readonly wantsFresh: boolean
  /** The connection is open, and the waiter's to use. */
  given(upstream: Upstream): void
  /** There is none to be had. */
  notGiven(cause: Error): void
}

type Target = Pick<Hop, 'address' | 'upstream'>

// A name never comes back once its upstream has gone: so many suffice for whoever took one before.
const MOST_LEFT = 4_096

/** The connections to one upstream, and the requests that wait for one of them. */
type Lane = {
  /** The one used last is at the end. */
  readonly idle: Upstream[]
  readonly waiting: Set<Waiter>
  dialling: number
  /** All that are not closed, those in use included: the lane stays for them, or a closed one would be given back to another lane. */
  open: number
}

/**
 * Connections that are opened to one address at the same time. The other requests wait for these, or for a connection that is given back.
 * Without a bound, clients that leave before the connection is open could use up the local ports of this machine.
 */
const MOST_DIALLING = 64

/**
 * Connections to upstreams, kept between requests. A connection is opened for the pool and not for a request: a client that leaves
 * meanwhile closes nothing, and the next request has what was opened.
 */
export class Pool {
  /** By what is behind the address. */
  readonly #lanes = new Map<string, Lane>()
  readonly #left = new Set<string>()
  readonly #all = new Set<Upstream>()
  readonly #options: PoolOptions
  readonly #counters: Counters
  readonly #sockets: Sockets

  constructor(options: PoolOptions, counters: Counters, sockets: Sockets) {
    this.#options = options
    this.#sockets = sockets
    this.#counters = counters
  }

  /** An open connection to the upstream: the one used last; undefined where there is none that may be used. */
  take({ address, upstream = address }: Target, repeatable: boolean): Upstream | undefined {
    const idle = this.#lanes.get(upstream)?.idle
    const last = idle?.at(-1)
    if (idle === undefined || last === undefined) return undefined
    if (!repeatable && last.looks > this.#options.surelyOpenLooks) return undefined
    idle.pop()
    this.#counters.upstreamReuses += 1
    return last
  }

  /** Waits for a connection to the upstream: one that is opened, or one that another request gives back. */
  wait({ address, upstream: name = address }: Target, waiter: Waiter): void {
    if (this.#left.has(name)) {
      waiter.notGiven(LEFT)
      return
    }
    const lane = this.#laneOf(name)
    waiter.waitedLooks = 0
    lane.waiting.add(waiter)
    this.#dial({ address, name }, lane)
  }

  /** The request has left, or needs no connection any more. */
  stopWaiting({ address, upstream = address }: Target, waiter: Waiter): void {
    this.#lanes.get(upstream)?.waiting.delete(waiter)
  }

  /** Takes back a connection whose answer is whole. */
  give(upstream: Upstream): void {
    upstream.user = undefined
    upstream.wasKept = true
    if (upstream.isForgotten) upstream.destroy()
    else this.#offer(upstream, this.#laneOf(upstream.name))
  }

  /**
   * Closes what is idle, or being opened, to an upstream that takes no more requests; what waits for it is told, and so is what comes
   * later. Where `cause` is given, nothing more comes on connections in use either: what has come by now is passed on, then they end.
   */
  forget({ upstream: name, cause }: GoneUpstream): void {
    this.#left.delete(name)
    this.#left.add(name)
    const [oldest] = this.#left
    if (this.#left.size > MOST_LEFT && oldest !== undefined) this.#left.delete(oldest)
    const lane = this.#lanes.get(name)
    this.#lanes.delete(name)
    for (const upstream of this.#all) {
      if (upstream.name !== name) continue
      upstream.isForgotten = true
      if (upstream.user === undefined) upstream.destroy(LEFT)
      else if (cause !== undefined) upstream.doom(cause)
    }
    if (lane !== undefined) this.#refuseAll(lane, LEFT)
  }

  /** Closes what has been idle, or dialling, for too long, and tells who has waited for too long. */
  look(): void {
    const { connectLooks, connectWithinMs, idleLooks } = this.#options
    for (const upstream of this.#all) {
      upstream.looks += 1
      if (upstream.endsDoomed()) continue
      if (!upstream.connected) {
        if (upstream.looks <= connectLooks) continue
        this.#counters.lateConnects += 1
        upstream.destroy(new Error(`no connection within ${connectWithinMs} ms`))
      } else if (upstream.user !== undefined) this.#lookForAnswer(upstream)
      else if (upstream.looks >= Math.min(idleLooks, upstream.mostIdle)) upstream.destroy()
    }
    for (const [name, lane] of this.#lanes) {
      for (const waiter of lane.waiting) {
        waiter.waitedLooks += 1
        // The dials come first: what they fail with says more.
        if (waiter.waitedLooks <= connectLooks + 1) continue
        lane.waiting.delete(waiter)
        waiter.notGiven(new Error(`no connection within ${connectWithinMs} ms`))
      }
      this.#sweep(name, lane)
    }
  }

  /** Closes an idle connection, to make room for another socket, and tells how many. */
  closeIdle(): number {
    for (const { idle } of this.#lanes.values()) {
      const oldest = idle.shift()
      if (oldest === undefined) continue
      oldest.destroy()
      return 1
    }
    return 0
  }

  get size(): number {
    return this.#all.size
  }

  [Symbol.dispose](): void {
    for (const upstream of this.#all) upstream.destroy()
    for (const lane of this.#lanes.values()) this.#refuseAll(lane, new Error('the server has ended'))
  }

  /** Ends the wait for an answer that has not begun, though the upstream has had the whole request for as long as it may take. */
  #lookForAnswer(upstream: Upstream): void {
    const { user, mostSilent } = upstream
    if (mostSilent === Number.POSITIVE_INFINITY || user === undefined) return
    if (!user.awaitsAnswer) upstream.looks = 0
    else if (upstream.looks > mostSilent) user.silent()
  }

  #laneOf(name: string): Lane {
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = { idle: [], waiting: new Set(), dialling: 0, open: 0 }
      this.#lanes.set(name, lane)
    }
    return lane
  }

  #dial(to: Pick<Upstream, 'address' | 'name'>, lane: Lane): void {
    while (lane.dialling < MOST_DIALLING && lane.dialling < lane.waiting.size) {
      if (!this.#sockets.take()) {
        this.#noSockets(lane)
        return
      }
      lane.dialling += 1
      lane.open += 1
      this.#counters.upstreamConnects += 1
      const upstream = new Upstream(to, {
        connected: opened => {
          lane.dialling -= 1
          this.#offer(opened, lane)
          this.#dial(to, lane)
        },
        gone: (gone, cause) => this.#gone(gone, lane, cause),
      })
      this.#all.add(upstream)
    }
  }

  /** Hands an open connection to the request that has waited for longest, or keeps it for the next. */
  #offer(upstream: Upstream, lane: Lane): void {
    upstream.looks = 0
    const waiter = lane.waiting.size === 0 ? undefined : firstFor(upstream, lane.waiting)
    if (waiter === undefined) {
      upstream.wasKept = true
      lane.idle.push(upstream)
      return
    }
    lane.waiting.delete(waiter)
    if (upstream.wasKept) this.#counters.upstreamReuses += 1
    waiter.given(upstream)
  }

  #gone(gone: Upstream, lane: Lane, cause: Error | undefined): void {
    this.#all.delete(gone)
    this.#sockets.give()
    lane.open -= 1
    if (!gone.connected) {
      lane.dialling -= 1
      // One request for each connection that could not be opened: the others have theirs.
      const [first] = lane.waiting
      if (first !== undefined) {
        lane.waiting.delete(first)
        first.notGiven(cause ?? new Error('the connection was closed'))
      }
      this.#dial(gone, lane)
    }
    const at = lane.idle.lastIndexOf(gone)
    if (at >= 0) lane.idle.splice(at, 1)
    this.#sweep(gone.name, lane)
  }

  /** Those for whom nothing is being opened cannot be served; to let them wait would keep their clients' sockets, too. */
  #noSockets(lane: Lane): void {
    let others = lane.dialling
    for (const waiter of lane.waiting) {
      if (others-- > 0) continue
      lane.waiting.delete(waiter)
      this.#counters.refusedSockets += 1
      waiter.notGiven(FULL)
    }
  }

  #refuseAll(lane: Lane, cause: Error): void {
    const waiting = [...lane.waiting]
    lane.waiting.clear()
    for (const waiter of waiting) waiter.notGiven(cause)
  }

  #sweep(name: string, lane: Lane): void {
    if (lane.open === 0 && lane.waiting.size === 0 && this.#lanes.get(name) === lane) this.#lanes.delete(name)
  }
}

/** The request that has waited for longest of those that may use the connection. */
function firstFor({ wasKept }: Upstream, waiting: ReadonlySet<Waiter>): Waiter | undefined {
  for (const waiter of waiting) if (!wasKept || !waiter.wantsFresh) return waiter
  return undefined
}

const LEFT = new Error('the upstream has left this address')
