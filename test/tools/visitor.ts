import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import type { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { WebSocket } from 'ws'

export type Answer = {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly bytes: Buffer
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: each test knows the answer of its app
  readonly json: any
}

type Sent = {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
  readonly signal?: AbortSignal
}

/** A request in progress. Its answer may never come. */
export type Asking = {
  readonly request: ClientRequest
  /** The head of the answer. The body is not read yet. */
  readonly response: Promise<IncomingMessage>
}

/** The headers that a browser sends when a person opens a page. */
export const NAVIGATION = { accept: 'text/html,*/*;q=0.8', 'sec-fetch-mode': 'navigate' }

/** A client that requests apps from a front by their hostnames. Each request has a connection of its own. */
export class Visitor {
  readonly #port: () => number
  readonly #address: string

  constructor(port: () => number, address = '127.0.0.1') {
    this.#port = port
    this.#address = address
  }

  get port(): number {
    return this.#port()
  }

  /** Sends the request and reads the whole answer; rejects if the answer is cut. */
  async ask(host: string, path = '/', sent: Sent = {}): Promise<Answer> {
    const response = await this.begin(host, path, sent).response
    const bytes = await buffer(response)
    const text = bytes.toString()
    const { statusCode: status = 0, headers } = response
    return { status, headers, bytes, text, json: /json/.test(headers['content-type'] ?? '') ? JSON.parse(text) : null }
  }

  /** Sends the request. Without a body, a request whose method is not GET stays open. */
  begin(host: string, path = '/', { method = 'GET', headers = {}, body, signal }: Sent = {}): Asking {
    const asked = request({
      port: this.port,
      host: this.#address,
      path,
      method,
      agent: false,
      headers: { host: hostOf(host), ...headers },
      ...(signal && { signal }),
    })
    const response = once(asked, 'response').then(([message]) => message as IncomingMessage)
    response.catch(() => undefined) // callers that await it get the error
    if (body !== undefined || method === 'GET') asked.end(body)
    return { request: asked, response }
  }

  /** Opens a WebSocket; rejects if it is refused. */
  async webSocket(host: string, path = '/'): Promise<WebSocket> {
    const socket = new WebSocket(`ws://${this.#address}:${this.port}${path}`, { headers: { host: hostOf(host) } })
    await once(socket, 'open')
    return socket
  }

  /** Opens a WebSocket whose client then does nothing: it neither reads nor answers nor closes. */
  async deadWebSocket(host: string): Promise<Socket> {
    const asked = request({
      port: this.port,
      host: this.#address,
      agent: false,
      headers: {
        host: hostOf(host),
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      },
    }).end()
    const [, socket] = (await once(asked, 'upgrade')) as [IncomingMessage, Socket]
    return socket.on('error', () => undefined)
  }
}

/** The hostname of an app without a domain. A text with a dot or a colon is a hostname already. */
const hostOf = (host: string): string => (/[.:]/.test(host) ? host : `${host}.localhost`)
