import { type IncomingMessage, type RequestListener, ServerResponse } from 'node:http'
import type { Server } from 'node:net'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { SOCKET_PROTOCOL } from '../../api/terminal-calls.ts'
import { ShadowError } from '../../lib/errors.ts'
import { INPUT_WINDOW_BYTES } from '../../model/exec.ts'

/** The paths at which a connection may become a WebSocket. An Upgrade at any other path is not looked at, as HTTP allows. */
const PATHS = /^\/v1\/apps\/[^/?]+\/(?:terminal|exec)(?:\?|$)/

type Waiting = { readonly socket: Duplex; readonly head: Buffer }

/**
 * Requests that want to become a WebSocket. Each goes through the handler of all requests, which checks token, cookie, origin and input and
 * can refuse it by a usual answer, until the handler of its call accepts it.
 */
export class Upgrades {
  readonly #waiting = new WeakMap<IncomingMessage, Waiting>()

  /** Whether a server should ask this class about a request that has an Upgrade. */
  readonly isFor = ({ method, url = '', headers }: IncomingMessage): boolean =>
    method === 'GET' && PATHS.test(url) && headers.upgrade?.toLowerCase() === 'websocket'

  /** Gives the upgrades of a server to the handler of its requests. */
  follow(server: Server, handler: RequestListener): void {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy())
      const response = new ServerResponse(request)
      response.shouldKeepAlive = false
      response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0])
      response.on('finish', () => socket.end())
      this.#waiting.set(request, { socket, head })
      handler(request, response)
    })
  }

  /** Makes a WebSocket of the connection. Fails with `bad-input` for a request that is no upgrade; an answer has to be written then. */
  async accept(request: IncomingMessage, response: ServerResponse): Promise<WebSocket> {
    const waiting = this.#waiting.get(request)
    if (waiting === undefined)
      throw new ShadowError('bad-input', 'this call is made by a WebSocket: the request has no Upgrade', {
        hint: 'shadow exec --tty APP -- sh does the same without a WebSocket',
      })
    const { WebSocketServer } = await import('ws')
    const { socket, head } = waiting
    if (socket.destroyed) throw new ShadowError('client-gone', 'the client left before it had a WebSocket')
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: INPUT_WINDOW_BYTES,
      // A protocol that has a token is never said back.
      handleProtocols: offered => (offered.has(SOCKET_PROTOCOL) ? SOCKET_PROTOCOL : false),
    })
    const renewed = response.getHeader('set-cookie')
    server.on('headers', headers => {
      for (const cookie of [renewed ?? []].flat()) headers.push(`Set-Cookie: ${cookie}`)
    })
    server.on('wsClientError', (error, refused) => {
      refused.end(`HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n${error.message}\n`)
    })
    response.detachSocket(socket as Parameters<ServerResponse['detachSocket']>[0])
    this.#waiting.delete(request)
    return new Promise((resolve, reject) => {
      socket.once('close', () => reject(new ShadowError('client-gone', 'the client left before it had a WebSocket')))
      server.handleUpgrade(request, socket, head, resolve)
    })
  }
}
