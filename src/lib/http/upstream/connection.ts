import { createConnection, type Socket } from 'node:net'
import { endpoint } from '../endpoint.ts'
import { Intake } from '../sockets/buffers.ts'
import { Outlet } from '../sockets/socket-writer.ts'
import { BodyFramer } from '../wire/body-framer.ts'

/** Who a connection to an upstream works for. */
export interface UpstreamUser {
  received(bytes: Buffer, end: number, lent: boolean): void
  /** The upstream has ended its side. */
  ended(): void
  /** The connection is of no use any more; `cause` where it failed. */
  lost(cause: Error | undefined): void
  /** Nothing more can be sent; an answer that is on its way can still be read. */
  deaf(cause: Error): void
  /** The upstream has the whole request, and nothing of an answer has come. */
  readonly awaitsAnswer: boolean
  /** That has lasted for too long. */
  silent(): void
}

/** What becomes of a connection; told to the pool that it belongs to. */
export type UpstreamEvents = {
  readonly connected: (upstream: Upstream) => void
  /** It is closed; `cause` where it failed. */
  readonly gone: (upstream: Upstream, cause: Error | undefined) => void
}

const KEEPALIVE_PROBE_AFTER_MS = 30_000

/** One connection to an upstream, for one request at a time. */
export class Upstream {
  readonly address: string
  /** What is behind the address. */
  readonly name: string
  readonly socket: Socket
  readonly outlet: Outlet
  readonly intake: Intake
  /** Finds the end of the answer that is read. */
  readonly framer = new BodyFramer({ ofAnswers: true })
  user: UpstreamUser | undefined
  /** It was idle, or has served a request: the upstream may close it at any time. */
  wasKept = false
  /** Its upstream has left the address: no other request may be sent on it. */
  isForgotten = false
  connected = false
  /** Looks (see `Looks`) since it was dialled or became idle. */
  looks = 0
  /** Looks that it may be idle, where the upstream says how long it keeps it. */
  mostIdle = Number.POSITIVE_INFINITY
  /** Looks that it may take to begin its answer. */
  mostSilent = Number.POSITIVE_INFINITY
  /** It has switched to another protocol, whose sides end one by one. */
  #isSwitched = false
  #cause: Error | undefined
  #doom: Error | undefined

  constructor({ address, name }: Pick<Upstream, 'address' | 'name'>, events: UpstreamEvents) {
    this.address = address
    this.name = name
    this.intake = new Intake((bytes, length, lent) => {
      // Nobody asked: whatever it is, the next request must not get it for its answer.
      if (this.user === undefined) this.destroy()
      else this.user.received(bytes, length, lent)
    })
    const { host, port } = endpoint(address)
    this.socket = createConnection({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_PROBE_AFTER_MS,
      onread: this.intake.onread,
    })
    this.outlet = new Outlet(this.socket, cause => this.#failed(cause))
    setAutoDestroy(this.socket, false)
    this.socket
      .on('connect', () => {
        this.connected = true
        events.connected(this)
      })
      .on('error', cause => this.#failed(cause))
      .on('end', () => {
        this.user?.ended()
        if (!this.#isSwitched) this.destroy()
      })
      .on('close', () => {
        this.intake.close()
        const { user } = this
        this.user = undefined
        events.gone(this, this.#cause)
        user?.lost(this.#doom ?? this.#cause)
      })
  }

  /** It has switched to another protocol, which is this user's until both sides have ended. It never goes back to the pool. */
  switchTo(user: UpstreamUser): void {
    this.user = user
    this.#isSwitched = true
    this.mostSilent = Number.POSITIVE_INFINITY
    this.socket.allowHalfOpen = true
    setAutoDestroy(this.socket, true)
  }

  /** Ends a connection of which nobody wants the answer any more, so that the upstream knows. */
  reset(): void {
    this.user = undefined
    this.socket.resetAndDestroy()
  }

  /** The upstream has ended. What it wrote before may still be read, at the pace of the client; more does not come. */
  doom(cause: Error): void {
    this.#doom ??= cause
    // What the kernel has for us is read in the next turn of the loop; a client that takes nothing just now gets what was read.
    setImmediate(() => setImmediate(() => this.endsDoomed()))
  }

  /** Whether it was doomed, and is ended now. */
  endsDoomed(): boolean {
    if (this.#doom === undefined || this.socket.isPaused()) return false
    this.destroy(this.#doom)
    return true
  }

  get isDoomed(): boolean {
    return this.#doom !== undefined
  }

  destroy(cause?: Error): void {
    this.#cause ??= cause
    this.socket.destroy()
  }

  #failed(cause: Error): void {
    this.#cause ??= cause
    if (this.socket.destroyed || this.user === undefined) this.destroy()
    else this.user.deaf(cause)
  }
}

/**
 * An upstream that refuses an upload answers and closes, and our next write then fails. node:net would destroy the socket there and
 * then, with the answer unread in it; without autoDestroy it only says so.
 */
function setAutoDestroy(socket: Socket, isOn: boolean): void {
  const { _writableState: state } = socket as { _writableState?: { autoDestroy?: boolean } }
  if (state !== undefined) state.autoDestroy = isOn
  const { _readableState: other } = socket as { _readableState?: { autoDestroy?: boolean } }
  if (other !== undefined) other.autoDestroy = isOn
}
