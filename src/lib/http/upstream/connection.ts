import { createConnection, type Socket } from 'node:net'
import { connect } from 'node:tls'
import type { ServerTls } from '../../tls/credentials.ts'
import { endpoint } from '../endpoint.ts'
import { resetConnection, setAutoDestroy } from '../node-internals/sockets.ts'
import { ReadBuffer } from '../sockets/buffers.ts'
import { SocketWriter } from '../sockets/socket-writer.ts'
import { BodyFramer } from '../wire/body-framer.ts'

/** What uses a connection to an upstream: the exchange whose request was sent on it. */
export interface UpstreamUser {
  received(bytes: Buffer, end: number, lent: boolean): void
  /** The upstream has ended its side. */
  ended(): void
  /** The connection has closed; `cause` if it failed. */
  lost(cause: Error | undefined): void
  /** Nothing more can be sent. An answer that is on its way can still be read. */
  writeFailed(cause: Error): void
  /** The upstream has the whole request, and no byte of an answer has come. */
  readonly awaitsAnswer: boolean
  /** `awaitsAnswer` has lasted for too long. */
  silent(): void
}

/** The events of a connection, for its pool. */
export type UpstreamEvents = {
  readonly connected: (upstream: UpstreamConnection) => void
  /** The connection has closed; `cause` if it failed. */
  readonly gone: (upstream: UpstreamConnection, cause: Error | undefined) => void
}

const KEEPALIVE_PROBE_AFTER_MS = 30_000

/** Where a connection goes to. `upstream`: what is behind the address; `name`: by which the connection is pooled. */
export type UpstreamTarget = {
  readonly address: string
  readonly upstream: string
  readonly name: string
  readonly tls: ServerTls | undefined
}

/** One connection to an upstream, for one request at a time. */
export class UpstreamConnection {
  readonly address: string
  /** The name of what is behind the address. */
  readonly upstream: string
  /** The name by which the connection is pooled. */
  readonly name: string
  readonly tls: ServerTls | undefined
  readonly socket: Socket
  readonly writer: SocketWriter
  readonly readBuffer: ReadBuffer
  /** Finds the end of the answer that is being read. */
  readonly framer = new BodyFramer({ ofAnswers: true })
  user: UpstreamUser | undefined
  /** The connection was idle or has served a request, so the upstream may close it at any time. */
  wasKept = false
  /** The upstream has gone from the address. No other request may be sent on the connection. */
  isForgotten = false
  connected = false
  /** Sweeps since the connection was begun, became idle, or got its request. */
  sweeps = 0
  /** Sweeps for which the connection may be idle, if the upstream says how long it keeps it. */
  mostIdle = Number.POSITIVE_INFINITY
  /** Sweeps that the upstream may take to begin its answer. */
  mostSilent = Number.POSITIVE_INFINITY
  /** The connection has switched to another protocol, whose sides end one by one. */
  #isSwitched = false
  #cause: Error | undefined
  #bytesSeen = -1
  #death: Error | undefined

  constructor({ address, upstream, name, tls }: UpstreamTarget, events: UpstreamEvents) {
    this.address = address
    this.upstream = upstream
    this.name = name
    this.tls = tls
    this.readBuffer = new ReadBuffer((bytes, length, lent) => {
      // Bytes without a request. The next request must not get them as its answer.
      if (this.user === undefined) this.destroy()
      else this.user.received(bytes, length, lent)
    })
    this.socket = this.#open()
    this.writer = new SocketWriter(this.socket, cause => this.#failed(cause))
    setAutoDestroy(this.socket, false)
    this.socket
      .on(tls === undefined ? 'connect' : 'secureConnect', () => {
        this.connected = true
        events.connected(this)
      })
      .on('error', cause => this.#failed(cause))
      .on('end', () => {
        this.user?.ended()
        if (!this.#isSwitched) this.destroy()
      })
      .on('close', () => {
        this.readBuffer.close()
        const { user } = this
        this.user = undefined
        events.gone(this, this.#cause)
        user?.lost(this.#death ?? this.#cause)
      })
  }

  /** The connection has switched to another protocol. It belongs to this user until both sides have ended, and never returns to the pool. */
  switchTo(user: UpstreamUser): void {
    this.user = user
    this.#isSwitched = true
    this.mostSilent = Number.POSITIVE_INFINITY
    this.socket.allowHalfOpen = true
    setAutoDestroy(this.socket, true)
  }

  /** Resets a connection whose answer is not wanted any more, so that the upstream learns of it. */
  reset(): void {
    this.user = undefined
    resetConnection(this.socket)
  }

  /** The upstream has died. The bytes that it wrote before are still read, as fast as the client takes them; then the connection ends. */
  upstreamDied(cause: Error): void {
    this.#death ??= cause
    // The bytes that the kernel has are read in the next turn of the event loop. If the client reads nothing then, it gets what was read.
    setImmediate(() => setImmediate(() => this.endIfDead()))
  }

  /** Ends the connection if its upstream has died and nothing is left to read; returns whether it did. */
  endIfDead(): boolean {
    if (this.#death === undefined || this.socket.isPaused()) return false
    this.destroy(this.#death)
    return true
  }

  /** Whether bytes have come since the last call. */
  get hasReceived(): boolean {
    const before = this.#bytesSeen
    this.#bytesSeen = this.socket.bytesRead
    return this.#bytesSeen !== before
  }

  get isDead(): boolean {
    return this.#death !== undefined
  }

  destroy(cause?: Error): void {
    this.#cause ??= cause
    this.socket.destroy()
  }

  #open(): Socket {
    const { tls } = this
    const options = {
      ...endpoint(this.address),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_PROBE_AFTER_MS,
      onread: this.readBuffer.onread,
    }
    if (tls === undefined) return createConnection(options)
    return connect({ ...options, servername: tls.servername, secureContext: tls.credentials.context })
  }

  #failed(cause: Error): void {
    this.#cause ??= cause
    if (this.socket.destroyed || this.user === undefined) this.destroy()
    else this.user.writeFailed(cause)
  }
}
