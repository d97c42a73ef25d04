import type { Socket } from 'node:net'
import { ShadowError } from '../../errors.ts'
import { networkOf, plainAddress } from '../../ip.ts'
import { noLog } from '../../log.ts'
import { Counts, countsMemory } from '../../shared/counts.ts'
import type { Counted, Counters } from '../counters.ts'
import type { AnswerOf } from '../exchange.ts'
import { problemAnswer, wholeAnswer } from '../problem-answer.ts'
import { FULL, SocketBudget } from './socket-budget.ts'

/** How many connections may be open, in all threads that share the memory. */
export type ConnectionLimits = {
  readonly most?: number | undefined
  /** From one client: an IPv4 address, or the /64 of an IPv6 one, which is what one client is given. */
  readonly mostPerAddress?: number | undefined
  /** Not bounded by address: proxies of ours, behind which there are many clients. */
  readonly exempt?: Addresses | undefined
  readonly counts?: Counts | undefined
  /** What connections of clients share with those to upstreams. */
  readonly sockets?: SocketBudget | undefined
  readonly answerOf?: AnswerOf | undefined
  /** Whether a client gets no new TLS connection for the moment, as it has left too many requests. */
  readonly isShutOut?: ((client: string) => boolean) | undefined
}

/** What tells whether it has an address, as a `BlockList` does. */
type Addresses = { check(address: string, family: 'ipv4' | 'ipv6'): boolean }

/** More refusals than these in one look are not worth their answer: they are reset. */
const MOST_ANSWERED = 64
const IN_ALL = 'all'
/** Streams of HTTP/2 that one connection may have open. */
const STREAMS = 128
/** The same for one of many: what all connections of a client send at once is served in one go, and all others wait meanwhile. */
const STREAMS_OF_MANY = 8
const STREAMS_TOGETHER = 256
const IPV6_BITS = 64

/** Lets connections in, before a byte of them is read, and keeps the count of them. */
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

  /** `makeRoom` closes connections that nobody would miss, and tells how many. */
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

  /** What is counted by now, those connections included that are open. */
  get counted(): Counted {
    const counted = { ...this.#counters, open: this.#open.size }
    for (const socket of this.#open) {
      counted.bytesIn += socket.bytesRead
      counted.bytesOut += socket.bytesWritten
    }
    return counted
  }

  /** Lets a connection in, until it closes; false: it is refused, and not the caller's any more. Only `plain` HTTP can be told why. */
  enter(socket: Socket, { plain }: { readonly plain: boolean }): boolean {
    const address = plainAddress(socket.remoteAddress ?? '')
    if (address === '') {
      socket.destroy() // it has closed already
      return false
    }
    const key = this.#mostPerAddress === Number.POSITIVE_INFINITY ? undefined : this.clientOf(address)
    if (key !== undefined && !plain && this.#isShutOut(key)) {
      // A handshake costs more than the streams that it was shut out for.
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

  /** How many streams a new connection by HTTP/2 may have open: the fewer the more connections the client has. */
  streamsFor(client: string | undefined): number {
    if (client === undefined) return STREAMS
    const share = Math.floor(STREAMS_TOGETHER / Math.max(1, this.#counts.of(client)))
    return Math.max(STREAMS_OF_MANY, Math.min(STREAMS, share))
  }

  /** Counts a request by HTTP/2 of a client; false: it has as many open as one address may have. */
  enterStream(client: string): boolean {
    if (this.#counts.take(`${client} streams`, this.#mostPerAddress)) return true
    this.#counters.refusedStreams += 1
    return false
  }

  leaveStream(client: string): void {
    this.#counts.give(`${client} streams`)
  }

  /** Called from time to time: ends those refused that do not end themselves. */
  sweep(): void {
    for (const socket of this.#refusedBefore) socket.destroy()
    this.#refusedBefore = this.#refused
    this.#refused = []
  }

  [Symbol.dispose](): void {
    this.sweep()
    this.sweep()
  }

  /** Whom what comes from the address counts for; undefined where it has no bound. */
  clientOf(address: string): string | undefined {
    const isIPv6 = address.includes(':')
    if (this.#exempt?.check(address, isIPv6 ? 'ipv6' : 'ipv4')) return undefined
    return isIPv6 ? networkOf(address, IPV6_BITS) : address
  }

  #takeOfAll(): boolean {
    if (this.#most === Number.POSITIVE_INFINITY || this.#counts.take(IN_ALL, this.#most)) return true
    // The one that makes room is counted until its close is heard of, a moment later.
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
      socket.resume() // closing on unread bytes would reset the connection, answer and all
    }
    return false
  }
}

export const TOO_MANY = new ShadowError(
  'too-many-connections',
  'so many connections or requests are open from this address that one more is not let in',
  { retryAfterMs: 5_000 },
)
