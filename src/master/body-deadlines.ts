import type { IncomingMessage } from 'node:http'
import type { Clock } from '../lib/clock.ts'

/** The value of node:http's own `requestTimeout`, which can be set only for a whole server. */
const BODY_WITHIN_MS = 300_000

/** Closes connections whose request body is incomplete five minutes after its head. Uploads are exempt. */
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
    const timer = this.#clock.after(BODY_WITHIN_MS, () => {
      if (!request.complete) request.socket.destroy()
    })
    this.#running.set(request, timer)
    request.once('close', () => timer[Symbol.dispose]())
  }

  /** Exempts this request: the time limit of the server applies instead. */
  letOff(request: IncomingMessage): void {
    this.#running.get(request)?.[Symbol.dispose]()
  }
}
