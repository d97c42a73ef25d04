import type { IncomingMessage } from 'node:http'
import type { Clock } from '../lib/clock.ts'

/** The value of node:http's own `requestTimeout`, which can be set only for a whole server. */
const BODY_WITHIN_MS = 300_000

/** The time limit of an upload: five minutes are too few for a large blob over a slow connection. */
const UPLOAD_WITHIN_MS = 3_600_000

/** Closes connections whose request body is incomplete five minutes after its head: an hour for an upload, never for a session. */
export class BodyDeadlines {
  readonly #clock: Clock
  readonly #running = new WeakMap<IncomingMessage, Disposable>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Starts the deadline of this request. It applies even if the request is answered before its body is complete. */
  start(request: IncomingMessage): void {
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers
    if (length === undefined && coding === undefined) return
    this.#set(request, BODY_WITHIN_MS)
    request.once('close', () => this.end(request))
  }

  /** Gives this request the time of an upload. */
  letOff(request: IncomingMessage): void {
    if (!this.#running.has(request)) return
    this.end(request)
    this.#set(request, UPLOAD_WITHIN_MS)
  }

  /** Gives this request as long as it wants: its handler limits it. */
  end(request: IncomingMessage): void {
    this.#running.get(request)?.[Symbol.dispose]()
  }

  #set(request: IncomingMessage, ms: number): void {
    const timer = this.#clock.after(ms, () => {
      if (!request.complete) request.socket.destroy()
    })
    this.#running.set(request, timer)
  }
}
