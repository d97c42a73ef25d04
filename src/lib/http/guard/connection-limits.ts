import type { Socket } from 'node:net'
import { ShadowError } from '../../errors.ts'
import { networkOf, plainAddress } from '../../ip.ts'
import { noLog } from '../../log.ts'
import { Counts, countsMemory } from '../../shared/counts.ts'
import type { Counted, Counters } from '../counters.ts'
import type { AnswerOf } from '../exchange.ts'
import { problemAnswer, wholeAnswer } from '../problem-answer.ts'
import { FULL, SocketBudget } from './socket-budget.ts'

/** The most connections that may be open, in all threads that share the memory. */
export type ConnectionLimits = {
  readonly most?: number | undefined
  /** The most from one client: from an IPv4 address, or from the /64 of an IPv6 address, which is what one client is assigned. */
  readonly mostPerAddress?: number | undefined
  /** Addresses without the limit per client: proxies of ours, with many clients behind them. */
  readonly exempt?: Addresses | undefined
  readonly counts?: Counts | undefined
  /** The budget that connections of clients share with those to upstreams. */
  readonly sockets?: SocketBudget | undefined
  readonly answerOf?: AnswerOf | undefined
  /** Tells whether a client gets no new TLS connection for the moment, because it has reset too many requests. */
  readonly isShutOut?: ((client: string) => boolean) | undefined
}

/** A list of addresses, such as a `BlockList`. */
type Addresses = { check(address: string, family: 'ipv4' | 'ipv6'): boolean }

/** How many refusals are answered between two sweeps. Further ones are reset. */
const MOST_ANSWERED = 64
const IN_ALL = 'all'
/** How many streams of HTTP/2 one connection may have open. */
const STREAMS = 128
/** The same for a client with many connections. Whatever all of them send at the same time is served in one go, while other clients wait. */
const STREAMS_OF_MANY = 8
const STREAMS_TOGETHER = 256
const IPV6_BITS = 64

/** Admits connections before a byte of them is read, and counts them. */
export class ConnectionLimiter {
  readonly #most: number
  readonly #mostPerAddress: number
  readonly #exempt: Addresses | undefined
  readonly #counts: Counts
  readonly #answerOf: AnswerOf
  readonly #counters: Counters
  readonly #makeRoom: () => number
  readonly #isShutOut: (client: string) => boolean
  readonly #sockets: SocketBudget
  #refused: Socket[] = []
  #refusedBefore: Socket[] = []
  readonly #open = new Set<Socket>()

  /** `makeRoom` closes idle connections and returns how many. */
  constructor(options: ConnectionLimits, counters: Counters, makeRoom: () => number) {
    this.#sockets = options.sockets ?? new SocketBudget({}, makeRoom)
    this.#most = options.most ?? Number.POSITIVE_INFINITY
    this.#mostPerAddress = options.mostPerAddress ?? Number.POSITIVE_INFINITY
    this.#exempt = options.exempt
    this.#counts = options.counts ?? new Counts(countsMemory())
    this.#answerOf = options.answerOf ?? (error => problemAnswer(error, noLog))
    this.#counters = counters
    this.#makeRoom = makeRoom
    this.#isShutOut = options.isShutOut ?? (() => false)
  }

  /** The values of the counters now, open connections included. */
  get counted(): Counted {
    const counted = { ...this.#counters, open: this.#open.size }
    for (const socket of this.#open) {
      counted.bytesIn += socket.bytesRead
      counted.bytesOut += socket.bytesWritten
    }
    return counted
  }

  /** Admits a connection until it closes. If it returns false, the connection is refused and no longer the caller's. Only `plain` HTTP is told why. */
  enter(socket: Socket, { plain }: { readonly plain: boolean }): boolean {
    const address = plainAddress(socket.remoteAddress ?? '')
    if (address === '') {
      socket.destroy() // it has closed already
      return false
    }
    const key = this.#mostPerAddress === Number.POSITIVE_INFINITY ? undefined : this.clientOf(address)
    if (key !== undefined && !plain && this.#isShutOut(key)) {
      // A handshake costs more than the streams that the client was shut out for.
      this.#counters.refusedResets += 1
      return this.#refuse(socket, undefined)
    }
    if (key !== undefined && !this.#counts.take(key, this.#mostPerAddress)) {
      this.#counters.refusedPerAddress += 1
      return this.#refuse(socket, plain ? TOO_MANY : undefined)
    }
    if (!this.#sockets.take()) {
      if (key !== undefined) this.#counts.give(key)
      this.#counters.refusedSockets += 1
      return this.#refuse(socket, plain ? FULL : undefined)
    }
    if (!this.#takeOfAll()) {
      this.#sockets.give()
      if (key !== undefined) this.#counts.give(key)
      this.#counters.refusedInAll += 1
      return this.#refuse(socket, plain ? FULL : undefined)
    }
    this.#counters.connections += 1
    this.#open.add(socket)
    socket.once('close', () => {
      this.#open.delete(socket)
      this.#counters.bytesIn += socket.bytesRead
      this.#counters.bytesOut += socket.bytesWritten
      this.#sockets.give()
      if (key !== undefined) this.#counts.give(key)
      if (this.#most !== Number.POSITIVE_INFINITY) this.#counts.give(IN_ALL)
    })
    return true
  }

  /** How many streams a new connection of HTTP/2 may have open. The more connections the client has, the fewer. */
  streamsFor(client: string | undefined): number {
    if (client === undefined) return STREAMS
    const share = Math.floor(STREAMS_TOGETHER / Math.max(1, this.#counts.of(client)))
    return Math.max(STREAMS_OF_MANY, Math.min(STREAMS, share))
  }

  /** Counts a client's request over HTTP/2; false if the client has too many open. */
  enterStream(client: string): boolean {
    if (this.#counts.take(`${client} streams`, this.#mostPerAddress)) return true
    this.#counters.refusedStreams += 1
    return false
  }

  leaveStream(client: string): void {
    this.#counts.give(`${client} streams`)
  }

  /** Called regularly: closes refused connections that their clients have not closed. */
  sweep(): void {
    for (const socket of this.#refusedBefore) socket.destroy()
    this.#refusedBefore = this.#refused
    this.#refused = []
  }

  [Symbol.dispose](): void {
    this.sweep()
    this.sweep()
  }

  /** The client that an address counts for; undefined if it has no limit. */
  clientOf(address: string): string | undefined {
    const isIPv6 = address.includes(':')
    if (this.#exempt?.check(address, isIPv6 ? 'ipv6' : 'ipv4')) return undefined
    return isIPv6 ? networkOf(address, IPV6_BITS) : address
  }

  #takeOfAll(): boolean {
    if (this.#most === Number.POSITIVE_INFINITY || this.#counts.take(IN_ALL, this.#most)) return true
    // The connection that makes room is counted until its `close` event, a moment later.
    const closed = this.#makeRoom()
    if (closed === 0) return false
    this.#counters.madeRoom += closed
    return this.#counts.take(IN_ALL, Number.POSITIVE_INFINITY)
  }

  #refuse(socket: Socket, error: ShadowError | undefined): false {
    socket.on('error', () => undefined)
    if (error === undefined || this.#refused.length >= MOST_ANSWERED) socket.resetAndDestroy()
    else {
      this.#refused.push(socket)
      socket.end(wholeAnswer(this.#answerOf(error)))
      socket.resume() // closing with unread bytes would reset the connection, and the answer would be lost
    }
    return false
  }
}

export const TOO_MANY = new ShadowError(
  'too-many-connections',
  'so many connections or requests are open from this address that one more is not let in',
  { retryAfterMs: 5_000 },
)
