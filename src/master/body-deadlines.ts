import type { IncomingMessage } from 'node:http'
import type { Clock } from '../lib/clock.ts'

/** As node:http's own `requestTimeout`, which is one for all requests of a server. */
const BODY_WITHIN_MS = 300_000

/** Closes connections whose request is not whole five minutes after its head, but for requests that are let off: uploads. */
export class BodyDeadlines {
  readonly #clock: Clock
  readonly #running = new WeakMap<IncomingMessage, Disposable>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts from now on, whoever sent the request, and whether or not it is answered before it is whole. */
  start(request: IncomingMessage): void {
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers
    if (length === undefined && coding === undefined) return
    const timer = this.#clock.after(BODY_WITHIN_MS, () => {
      if (!request.complete) request.socket.destroy()
    })
    this.#running.set(request, timer)
    request.once('close', () => timer[Symbol.dispose]())
  }

  /** This request may take as long as the server allows. */
  letOff(request: IncomingMessage): void {
    this.#running.get(request)?.[Symbol.dispose]()
  }
}
