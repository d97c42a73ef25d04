import type { Socket } from 'node:net'
import type { Clock } from '../../clock.ts'
import type { SocketWriter } from '../sockets/socket-writer.ts'
import { TunnelDirection, type TunnelEnd } from './tunnel-direction.ts'
import { FrameBoundaries } from './websocket-frames.ts'

export type TunnelOptions = {
  readonly clock: Clock
  /** How long the client of a WebSocket may be silent before it is pinged; undefined for other protocols. */
  readonly pingEveryMs?: number | undefined
  /** How long a side may read no byte although some wait for it, and how long one side may be silent after the other has ended. */
  readonly stalledAfterMs: number
  /** The tunnel is cut because one side is too slow, or does not answer any more. */
  readonly onLate: () => void
  /** Both sockets have closed. */
  readonly onClosed: () => void
}

const PING = Buffer.from([0x89, 0x00])
/** Bytes that a close frame has room for beside its code (RFC 6455, 5.5). */
const MOST_OF_A_REASON = 123

/** A close frame with the code 1001: the endpoint is going away (RFC 6455, 7.4.1). */
function goingAway(reason: string): Buffer {
  const text = Buffer.from(Buffer.byteLength(reason) > MOST_OF_A_REASON ? '' : reason)
  return Buffer.concat([Buffer.from([0x88, 2 + text.length, 0x03, 0xe9]), text])
}
/** How long a client may take to answer the close frame, and the app to end the frame before it. */
const GOES_WITHIN_MS = 1_000

/**
 * Two connections, joined with backpressure and half-close until both have closed. A failure on one side cuts the other. The owners of the
 * connections pass what they read to `up` and `down`.
 */
export class Tunnel {
  /** From the client to the upstream. */
  readonly up: TunnelDirection
  /** From the upstream to the client. */
  readonly down: TunnelDirection
  readonly #client: SocketWriter
  readonly #upstream: SocketWriter
  readonly #options: TunnelOptions
  readonly #frames: FrameBoundaries | undefined
  #open = 2
  #heardAt: number
  /** A ping was sent, or waits to be sent, and the client has shown no sign of life since. */
  #asked = false
  #pingedAt: number | undefined
  #moved = -1
  #pings: Disposable | undefined
  #stalls: Disposable
  #goes: Disposable | undefined
  #isGoing = false

  constructor(client: TunnelEnd, upstream: TunnelEnd, options: TunnelOptions) {
    const { clock, pingEveryMs, stalledAfterMs } = options
    this.#options = options
    this.#client = client.writer
    this.#upstream = upstream.writer
    this.#heardAt = clock.now()
    if (pingEveryMs !== undefined) {
      this.#frames = new FrameBoundaries()
      this.#pings = clock.after(pingEveryMs, this.#checkPings)
    }
    this.#stalls = clock.after(stalledAfterMs, this.#checkStalls)
    const [frames, onTaken, onPut] = [this.#frames, this.#heard, this.#pinged]
    this.down = new TunnelDirection(upstream, client, { frames, onTaken, onPut })
    this.up = new TunnelDirection(client, upstream, { onCame: this.#heard })
    // Once its client has ended its side, a WebSocket is over: even a close frame would get no answer (RFC 6455, 7.1.1).
    if (this.#frames !== undefined) client.socket.once('end', () => this.#endsSoon())
    this.#whenClosed(client.socket, upstream.socket)
    this.#whenClosed(upstream.socket, client.socket)
  }

  /** Ends the tunnel because the proxy goes away: the client of a WebSocket gets a close frame, any other protocol is cut. */
  goAway(reason = ''): void {
    if (this.#isGoing || this.#open === 0) return
    this.#isGoing = true
    if (this.#frames === undefined) {
      this.#cut()
      return
    }
    this.#endsSoon()
    this.down.end(goingAway(reason))
  }

  /** Cuts both sides after a moment, in which the bytes under way still arrive. */
  #endsSoon(): void {
    this.#goes ??= this.#options.clock.after(GOES_WITHIN_MS, this.#cut)
  }

  readonly #cut = (): void => {
    this.#client.socket.destroy()
    this.#upstream.socket.destroy()
  }

  #late(): void {
    this.#options.onLate()
    this.#cut()
  }

  /** Closes the other connection when one has closed. */
  #whenClosed(one: Socket, other: Socket): void {
    one.once('close', () => {
      // Bytes read before a regular end are still sent. After an error they may be incomplete, so the other side is cut.
      if (one.errored || !one.readableEnded) other.destroy()
      else if (!other.writableEnded) other.end()
      this.#open -= 1
      if (this.#open > 0) return
      this.#pings?.[Symbol.dispose]()
      this.#stalls[Symbol.dispose]()
      this.#goes?.[Symbol.dispose]()
      this.#options.onClosed()
    })
  }

  /** A sign of life of the client: it has sent bytes, or read bytes that waited for it. */
  readonly #heard = (): void => {
    this.#heardAt = this.#options.clock.now()
    if (!this.#asked) return
    this.#asked = false
    this.#pingedAt = undefined
    this.down.put(undefined)
  }

  readonly #pinged = (): void => {
    this.#pingedAt = this.#options.clock.now()
  }

  /** Pings a silent client, and cuts it if it stays silent. */
  readonly #checkPings = (): void => {
    const { clock, pingEveryMs = 0 } = this.#options
    const now = clock.now()
    if (this.#pingedAt !== undefined && now - this.#pingedAt >= pingEveryMs) {
      this.#late()
      return
    }
    const isSilent = now - this.#heardAt >= pingEveryMs
    if (isSilent && !this.#asked) {
      this.#asked = true
      this.down.put(PING)
    }
    const since = this.#pingedAt ?? (isSilent ? now : this.#heardAt)
    this.#pings = clock.after(Math.max(1, since + pingEveryMs - now), this.#checkPings)
  }

  /** Cuts the tunnel if one side has ended and the other is silent, or if a side reads no byte: its peer may have gone. */
  readonly #checkStalls = (): void => {
    const { clock, stalledAfterMs } = this.#options
    const [client, upstream] = [this.#client, this.#upstream]
    const waiting = client.waiting + upstream.waiting
    const moved = passed(client.socket) + passed(upstream.socket) - waiting
    const owed = waiting > 0 || client.socket.readableEnded || upstream.socket.readableEnded
    if (owed && moved === this.#moved) this.#late()
    else this.#stalls = clock.after(stalledAfterMs, this.#checkStalls)
    this.#moved = moved
  }
}

const passed = ({ bytesRead, bytesWritten }: Socket): number => bytesRead + bytesWritten
