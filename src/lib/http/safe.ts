import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Log } from '../log.ts'
import { problemAnswer } from './answers.ts'
import type { Exchange, Journey, Opened, OwnAnswer } from './exchange.ts'
import type { Forwarder } from './forward.ts'
import { plainAddress } from './headers.ts'
import { hasBody, isUpgrade } from './heads.ts'
import type { Hop } from './hop.ts'
import { strictServer } from './strict.ts'

export type SafePathOptions = {
  readonly journey: Journey
  readonly forwarder: Forwarder
  readonly log: Log
  /** Whether each connection ends with its next answer: it listens to nothing itself. */
  readonly drains: () => boolean
}

/** The path over node:http, which takes what the fast one does not, connection by connection. */
export class SafePath implements Disposable {
  readonly server: Server
  readonly #sockets = new Set<Socket>()
  readonly #opened = new WeakMap<Socket, (opened: Opened) => void>()

  constructor({ journey, forwarder, log, drains }: SafePathOptions) {
    this.server = strictServer(
      async (request, response, signal) => {
        const opened = this.#opened.get(request.socket)
        if (opened === undefined) return serve(journey, new SafeExchange({ request, response, signal, forwarder }), log)
        this.#opened.delete(request.socket)
        opened({ request, response, signal })
      },
      { log, drains },
    )
    // It never listens; but only from here on does node:http keep account of its connections, to end slow heads and idle ones.
    this.server.emit('listening')
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy()
    this.server.close()
  }

  /** Takes over a connection whose next request has not been read. */
  take(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    this.server.emit('connection', socket)
  }

  /** The same; its next request is for the caller. */
  open(socket: Socket): Promise<Opened> {
    return new Promise((resolve, reject) => {
      this.#opened.set(socket, resolve)
      socket.once('close', () => reject(new Error('the connection was closed')))
      this.take(socket)
    })
  }
}

async function serve(journey: Journey, exchange: SafeExchange, log: Log): Promise<void> {
  try {
    await journey(exchange)
  } catch (error) {
    if (exchange.answered || exchange.signal.aborted) throw error
    exchange.answer(problemAnswer(error, log, exchange))
  }
}

type Parts = Opened & { readonly forwarder: Forwarder }

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

  get host(): string | undefined {
    return this.#parts.request.headers.host
  }

  get peer(): string {
    return plainAddress(this.#parts.request.socket.remoteAddress ?? 'unknown')
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
    const { response } = this.#parts
    response.writeHead(status, { ...this.ownHeaders, ...headers })
    response.end(body)
  }

  open(): Promise<Opened> {
    return Promise.resolve(this.#parts)
  }
}
