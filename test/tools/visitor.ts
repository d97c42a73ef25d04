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
  // biome-ignore lint/suspicious/noExplicitAny: what apps answer is looked at by the test that asked
  readonly json: any
}

type Sent = {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
  readonly signal?: AbortSignal
}

/** A request under way: its answer may never come. */
export type Asking = {
  readonly request: ClientRequest
  /** The head of the answer; the body is still to be read. */
  readonly response: Promise<IncomingMessage>
}

/** What a browser says when a person opens a page. */
export const NAVIGATION = { accept: 'text/html,*/*;q=0.8', 'sec-fetch-mode': 'navigate' }

/** Somebody who asks a front for apps by their hostnames, each time over a connection of its own. */
export class Visitor {
  readonly #port: () => number

  constructor(port: () => number) {
    this.#port = port
  }

  get port(): number {
    return this.#port()
  }

  /** Sends the request and reads the whole answer; rejects where that is cut short. */
  async ask(host: string, path = '/', sent: Sent = {}): Promise<Answer> {
    const response = await this.begin(host, path, sent).response
    const bytes = await buffer(response)
    const text = bytes.toString()
    const { statusCode: status = 0, headers } = response
    return { status, headers, bytes, text, json: /json/.test(headers['content-type'] ?? '') ? JSON.parse(text) : null }
  }

  /** Sends the request, leaving it open where no body is given and `method` takes one. */
  begin(host: string, path = '/', { method = 'GET', headers = {}, body, signal }: Sent = {}): Asking {
    const asked = request({
      port: this.port,
      host: '127.0.0.1',
      path,
      method,
      agent: false,
      headers: { host: hostOf(host), ...headers },
      ...(signal && { signal }),
    })
    const response = once(asked, 'response').then(([message]) => message as IncomingMessage)
    response.catch(() => undefined) // told to whoever waits for it
    if (body !== undefined || method === 'GET') asked.end(body)
    return { request: asked, response }
  }

  /** Opens a WebSocket; rejects with what was answered where it is refused. */
  async webSocket(host: string, path = '/'): Promise<WebSocket> {
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, { headers: { host: hostOf(host) } })
    await once(socket, 'open')
    return socket
  }

  /** Opens a WebSocket whose client then is as good as gone: it neither reads nor answers, and never closes. */
  async deadWebSocket(host: string): Promise<Socket> {
    const asked = request({
      port: this.port,
      host: '127.0.0.1',
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

/** An app's name stands for the hostname that it gets without a domain. */
const hostOf = (host: string): string => (/[.:]/.test(host) ? host : `${host}.localhost`)
