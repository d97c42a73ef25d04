import type { Clock } from '../../clock.ts'
import type { Counters } from '../counters.ts'
import { FULL, type SocketBudget } from '../guard/socket-budget.ts'
import type { GoneUpstream, NextHop } from '../next-hop.ts'
import { UpstreamConnection, type UpstreamTarget } from './connection.ts'

export type PoolOptions = {
  /** Sweeps for which an idle connection is kept. */
  readonly idleSweeps: number
  /** Sweeps for which an idle connection is used by a request that must not be sent twice: an upstream might close it at the same moment. */
  readonly surelyOpenSweeps: number
  readonly connectSweeps: number
  readonly connectWithinMs: number
  readonly sweepMs: number
  readonly clock: Clock
}

/** A request that waits for a connection to an upstream. */
export interface Waiter {
  /** Sweeps since the request began to wait. Only the pool sets it. */
  waitedSweeps: number
  /** The request needs a new connection, since the upstream may have closed one that was idle. */
  readonly wantsFresh: boolean
  /** Gives the request an open connection. */
  given(upstream: UpstreamConnection): void
  /** Tells the request that it gets no connection. */
  notGiven(cause: Error): void
}

export type Target = Pick<NextHop, 'address' | 'upstream' | 'otherPort' | 'tls'>

/** The name of what is behind the address. A connection that is secured belongs to who was to be there when it was opened. */
const upstreamOf = ({ address, upstream, tls }: Target): string =>
  upstream ?? (tls === undefined ? address : `${tls.servername} ${address}`)

/** The name that connections are pooled by. */
const nameOf = (target: Target): string =>
  target.otherPort === undefined ? upstreamOf(target) : `${upstreamOf(target)} ${target.otherPort}`

// Names of upstreams that have gone. They never come back; so many suffice for requests that were routed before.
const MOST_LEFT = 4_096

/** The connections to one port of an upstream, and the requests that wait for one of them. */
type Lane = {
  /** The name of the upstream. */
  readonly upstream: string
  /** The connection that was used last is at the end. */
  readonly idle: UpstreamConnection[]
  readonly waiting: Set<Waiter>
  dialling: number
  /** All connections that are not closed, busy ones included. While there is one the lane is kept, so that it is given back to the same lane. */
  open: number
}

/**
 * How many connections to one upstream may be opened at the same time. Other requests wait for these, or for a connection that is given back.
 * Without this limit, clients that leave before their connection is open could use up the local ports of this machine.
 */
const MOST_DIALLING = 64

/**
 * Connections to upstreams, kept between requests. A connection is opened for the pool, not for a request: if a client leaves meanwhile, the
 * connection stays open, and the next request uses it.
 */
export class Pool {
  /** The lanes by the name that connections are pooled by. */
  readonly #lanes = new Map<string, Lane>()
  readonly #left = new Set<string>()
  readonly #all = new Set<UpstreamConnection>()
  readonly #options: PoolOptions
  readonly #counters: Counters
  readonly #sockets: SocketBudget
  #sweptAt: number

  constructor(options: PoolOptions, counters: Counters, sockets: SocketBudget) {
    this.#options = options
    this.#sweptAt = options.clock.now()
    this.#sockets = sockets
    this.#counters = counters
  }

  /** Takes the idle connection to the upstream that was used last; undefined if there is none that may be used. */
  take(target: Target, repeatable: boolean): UpstreamConnection | undefined {
    const idle = this.#lanes.get(nameOf(target))?.idle
    const last = idle?.at(-1)
    if (idle === undefined || last === undefined) return undefined
    if (!repeatable && (last.sweeps > this.#options.surelyOpenSweeps || this.#isSweptLate())) return undefined
    idle.pop()
    this.#counters.upstreamReuses += 1
    return last
  }

  /** Queues a request for a connection to the upstream: a new one, or one that another request gives back. */
  wait(target: Target, waiter: Waiter): void {
    const upstream = upstreamOf(target)
    if (this.#left.has(upstream)) {
      waiter.notGiven(LEFT)
      return
    }
    const to = { address: target.address, upstream, name: nameOf(target), tls: target.tls }
    const lane = this.#laneOf(to)
    waiter.waitedSweeps = 0
    lane.waiting.add(waiter)
    this.#dial(to, lane)
  }

  /** Removes a request from the queue. */
  stopWaiting(target: Target, waiter: Waiter): void {
    this.#lanes.get(nameOf(target))?.waiting.delete(waiter)
  }

  /** Takes back a connection after a whole answer. */
  give(upstream: UpstreamConnection): void {
    upstream.user = undefined
    upstream.wasKept = true
    // TLS may deliver the end of an answer after a pause for a slow client. A connection that does not read would hang with its next request.
    upstream.socket.resume()
    if (upstream.isForgotten) upstream.destroy()
    else this.#offer(upstream, this.#laneOf(upstream))
  }

  /**
   * Closes the connections to an upstream that has gone, if they are idle or being opened. Requests that wait for it, and later ones, are refused.
   * With `cause`, busy connections end too, once the bytes that have arrived are forwarded.
   */
  forget({ upstream: name, cause }: GoneUpstream): void {
    this.#left.delete(name)
    this.#left.add(name)
    const [oldest] = this.#left
    if (this.#left.size > MOST_LEFT && oldest !== undefined) this.#left.delete(oldest)
    const lanes = [...this.#lanes].filter(([, { upstream }]) => upstream === name)
    for (const [key] of lanes) this.#lanes.delete(key)
    for (const upstream of this.#all) {
      if (upstream.upstream !== name) continue
      upstream.isForgotten = true
      if (upstream.user === undefined) upstream.destroy(LEFT)
      else if (cause !== undefined) upstream.upstreamDied(cause)
    }
    for (const [, lane] of lanes) this.#refuseAll(lane, LEFT)
  }

  /**
   * Closes the connections to an upstream that does not answer and may come back. Its requests under way fail with the cause, except those
   * of whose answer a byte has come since the last call.
   */
  cut(target: Target, cause: Error): void {
    const name = nameOf(target)
    for (const upstream of this.#all) {
      if (upstream.name !== name || upstream.hasReceived) continue
      upstream.isForgotten = true
      if (upstream.user === undefined) upstream.destroy(cause)
      else upstream.upstreamDied(cause)
    }
  }

  /** Checks all limits of time: of idle connections, of those being opened, of answers and of requests that wait. */
  sweep(): void {
    const now = this.#options.clock.now()
    // More than one if this machine was paused. Only idle connections age by that: whoever is asked had no time to answer.
    const passed = Math.max(1, Math.floor((now - this.#sweptAt) / this.#options.sweepMs))
    this.#sweptAt = now
    const { connectSweeps, connectWithinMs, idleSweeps } = this.#options
    for (const upstream of this.#all) {
      upstream.sweeps += upstream.connected && upstream.user === undefined ? passed : 1
      if (upstream.endIfDead()) continue
      if (!upstream.connected) {
        if (upstream.sweeps <= connectSweeps) continue
        this.#counters.lateConnects += 1
        upstream.destroy(new Error(`no connection within ${connectWithinMs} ms`))
      } else if (upstream.user !== undefined) this.#sweepAnswer(upstream)
      else if (upstream.sweeps >= Math.min(idleSweeps, upstream.mostIdle)) upstream.destroy()
    }
    for (const [name, lane] of this.#lanes) {
      for (const waiter of lane.waiting) {
        waiter.waitedSweeps += 1
        // Connections being opened time out first, since their error says more.
        if (waiter.waitedSweeps <= connectSweeps + 1) continue
        lane.waiting.delete(waiter)
        waiter.notGiven(new Error(`no connection within ${connectWithinMs} ms`))
      }
      this.#sweep(name, lane)
    }
  }

  /** Closes an idle connection to make room for another socket, and returns how many it closed. */
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

  /** Ends the wait for an answer that has not begun in time after the whole request was sent. */
  #sweepAnswer(upstream: UpstreamConnection): void {
    const { user, mostSilent } = upstream
    if (mostSilent === Number.POSITIVE_INFINITY || user === undefined) return
    if (!user.awaitsAnswer) upstream.sweeps = 0
    else if (upstream.sweeps > mostSilent) user.silent()
  }

  /** Whether a sweep is overdue: this machine was paused, so connections have been idle for longer than the sweeps say. */
  #isSweptLate(): boolean {
    const { clock, sweepMs, surelyOpenSweeps } = this.#options
    return clock.now() - this.#sweptAt > surelyOpenSweeps * sweepMs
  }

  #laneOf({ name, upstream }: Pick<UpstreamTarget, 'name' | 'upstream'>): Lane {
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = { upstream, idle: [], waiting: new Set(), dialling: 0, open: 0 }
      this.#lanes.set(name, lane)
    }
    return lane
  }

  #dial(to: UpstreamTarget, lane: Lane): void {
    while (lane.dialling < MOST_DIALLING && lane.dialling < lane.waiting.size) {
      if (!this.#sockets.take()) {
        this.#noSockets(lane)
        return
      }
      lane.dialling += 1
      lane.open += 1
      this.#counters.upstreamConnects += 1
      const upstream = new UpstreamConnection(to, {
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

  /** Gives an open connection to the request that has waited longest, or keeps it for the next request. */
  #offer(upstream: UpstreamConnection, lane: Lane): void {
    upstream.sweeps = 0
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

  #gone(gone: UpstreamConnection, lane: Lane, cause: Error | undefined): void {
    this.#all.delete(gone)
    this.#sockets.give()
    lane.open -= 1
    if (!gone.connected) {
      lane.dialling -= 1
      // One request fails for each connection that could not be opened; the others wait for other connections.
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

  /** Refuses the requests for which no connection is being opened. While they waited, they would occupy their clients' sockets, too. */
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

/** The request that has waited longest, of those that may use the connection. */
function firstFor({ wasKept }: UpstreamConnection, waiting: ReadonlySet<Waiter>): Waiter | undefined {
  for (const waiter of waiting) if (!wasKept || !waiter.wantsFresh) return waiter
  return undefined
}

const LEFT = new Error('the upstream has left this address')
