import { type Server, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../../clock.ts'
import { isFailure } from '../../errors.ts'
import { plainAddress } from '../../ip.ts'
import type { Log } from '../../log.ts'
import type { Counters } from '../counters.ts'
import type { AnswerOf, Exchange, Journey, Opened, OwnAnswer } from '../exchange.ts'
import type { Limits } from '../guard/limits.ts'
import { problemAnswer } from '../problem-answer.ts'
import type { Hop } from '../upstream-target.ts'
import type { Forwarder } from './forward.ts'
import { hasBody, isUpgrade } from './heads.ts'
import { strictServer } from './strict.ts'
import { Visits } from './visits.ts'

export type SafePathOptions = {
  readonly journey: Journey
  readonly forwarder: Forwarder
  readonly answerOf?: AnswerOf | undefined
  readonly log: Log
  readonly clock?: Clock | undefined
  /** Whether each connection ends with its next answer: it listens to nothing itself. */
  readonly drains: () => boolean
  readonly limits: Limits
  readonly counters: Counters
}

/** The path over node:http, which takes what the fast one does not, connection by connection. */
export class SafePath implements Disposable {
  readonly server: Server
  readonly visits: Visits
  readonly #opened = new WeakMap<Socket, (opened: Opened) => void>()

  constructor({ journey, forwarder, answerOf, log, clock, drains, limits, counters }: SafePathOptions) {
    this.visits = new Visits(limits, counters)
    const answer: AnswerOf = answerOf ?? ((thrown, of) => problemAnswer(thrown, log, of))
    this.server = strictServer(
      async (request, response, signal) => {
        const opened = this.#opened.get(request.socket)
        if (opened === undefined) {
          counters.requests += 1
          const ends = (): void => this.visits.endsWith(request, response)
          return serve(journey, new SafeExchange({ request, response, signal, forwarder, counters }), ends, answer)
        }
        this.#opened.delete(request.socket)
        opened({ request, response, signal })
      },
      { log, clock, drains, limits, counters, visits: this.visits },
    )
  }

  [Symbol.dispose](): void {
    this.visits.cut()
    this.server.close()
  }

  /** Takes over a connection that has served so many requests, and whose next has not been read. */
  take(socket: Socket, served: number): void {
    this.visits.enter(socket, served)
    this.server.emit('connection', socket)
  }

  /** The same; its next request is for the caller. */
  open(socket: Socket, served: number): Promise<Opened> {
    return new Promise((resolve, reject) => {
      this.#opened.set(socket, resolve)
      socket.once('close', () => reject(new Error('the connection was closed')))
      this.take(socket, served)
    })
  }
}

async function serve(journey: Journey, exchange: SafeExchange, ends: () => void, answerOf: AnswerOf): Promise<void> {
  try {
    await journey(exchange)
  } catch (error) {
    if (exchange.answered || exchange.signal.aborted) throw error
    // Nobody knows for how long the rest of it would come.
    if (isFailure(error, 'too-slow', 'too-large')) ends()
    exchange.answer(answerOf(error, exchange))
  }
}

type Parts = Opened & { readonly forwarder: Forwarder; readonly counters: Counters }

class SafeExchange implements Exchange {
  readonly ownHeaders: Record<string, string> = {}
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  get method(): string {
    return this.#parts.request.method ?? ''
  }

  get target(): string {
    return this.#parts.request.url ?? '/'
  }

  isFor(path: string): boolean {
    return this.target === path
  }

  get host(): string | undefined {
    return this.#parts.request.headers.host
  }

  get peer(): string {
    return plainAddress(this.#parts.request.socket.remoteAddress ?? 'unknown')
  }

  get connection(): object {
    return this.#parts.request.socket
  }

  get secure(): boolean {
    return 'encrypted' in this.#parts.request.socket
  }

  get hasBody(): boolean {
    return hasBody(this.#parts.request)
  }

  get upgrade(): string | undefined {
    return isUpgrade(this.#parts.request) ? this.#parts.request.headers.upgrade : undefined
  }

  get headBytes(): number {
    return this.#parts.request.rawHeaders.reduce((sum, text) => sum + text.length + 2, 0)
  }

  get signal(): AbortSignal {
    return this.#parts.signal
  }

  get answered(): boolean {
    return this.#parts.response.headersSent
  }

  header(name: string): string | undefined {
    const { headers } = this.#parts.request
    const value = headers[name]
    return Array.isArray(value) ? value[0] : value
  }

  list(name: string): string | undefined {
    return this.#parts.request.headersDistinct[name]?.join(', ')
  }

  forward(hop: Hop, signal: AbortSignal = this.signal): Promise<void> {
    const { request, response, forwarder } = this.#parts
    return forwarder.forward(request, response, hop, signal)
  }

  answer({ status, headers, body }: OwnAnswer): void {
    const { response, counters } = this.#parts
    const code = headers?.['x-shadow-error']
    if (code !== undefined) counters.erred(code)
    // A reason of an app that node:http refused to write stays with the response, and would be refused again.
    response.statusMessage = STATUS_CODES[status] ?? ''
    response.writeHead(status, { ...this.ownHeaders, ...headers })
    response.end(body)
  }

  open(): Promise<Opened> {
    return Promise.resolve(this.#parts)
  }
}
