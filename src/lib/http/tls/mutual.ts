import type { X509Certificate } from 'node:crypto'
import type { RequestListener, ServerOptions } from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { Server as NetServer } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { ShadowError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { type Credentials, optionsOf } from '../../tls/credentials.ts'
import { whyNotTrusted } from '../../tls/faults.ts'
import { CLIENT_SOCKET } from '../listening.ts'
import { tcpBeneath } from '../node-internals/sockets.ts'
import { problemAnswer, wholeAnswer } from '../problem-answer.ts'
import { type ConnectionServer, guardHandshakes, HANDSHAKE_WITHIN_MS, listenersBeside } from './listener.ts'

type ApiOptions = {
  readonly credentials: Credentials
  readonly handler: RequestListener
  /** Options of node:http. */
  readonly options?: Pick<ServerOptions, 'requestTimeout' | 'shouldUpgradeCallback'>
  readonly log: Log
}

/**
 * A server of node:http by TLS. A client may show a certificate, and the handler asks `peerOfSocket` for it; clients without one are served
 * too, since they may show a token. Disposing the result ends the watch for new credentials.
 */
export function mutualApiServer({ credentials, handler, options, log }: ApiOptions): HttpsServer {
  const server = createHttpsServer(
    {
      ...optionsOf(credentials.current),
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_WITHIN_MS,
      ...options,
    },
    handler,
  )
  return follow(server, credentials, log)
}

type Options = {
  readonly credentials: Credentials
  readonly exchanges: ConnectionServer
  readonly peers: Peers
  readonly log: Log
}

/** Which peers may connect, and the connections that they have. */
export class Peers {
  readonly #idOf: (certificate: X509Certificate) => string | undefined
  readonly #sockets = new Map<string, Set<TLSSocket>>()
  #refused: ReadonlySet<string> = new Set()

  /** `idOf`: the id of the peer that a certificate of the authority is for; undefined for one that may not connect. */
  constructor(idOf: (certificate: X509Certificate) => string | undefined) {
    this.#idOf = idOf
  }

  /** Refuses the peers with these ids from now on, and cuts the connections that they have. */
  refuse(ids: Iterable<string>): void {
    this.#refused = new Set(ids)
    for (const id of this.#refused) for (const socket of this.#sockets.get(id) ?? []) socket.destroy()
  }

  /** Whether the peer of a connection may connect. */
  admit(socket: TLSSocket): boolean {
    const certificate = socket.getPeerX509Certificate()
    const id = certificate && this.#idOf(certificate)
    if (id === undefined || this.#refused.has(id)) return false
    const sockets = this.#sockets.get(id) ?? new Set()
    this.#sockets.set(id, sockets.add(socket))
    socket.on('close', () => {
      sockets.delete(socket)
      if (sockets.size === 0 && this.#sockets.get(id) === sockets) this.#sockets.delete(id)
    })
    return true
  }
}

/**
 * Servers on one port by TLS, for clients that show a certificate of the authority and are admitted; all others are cut in or after the
 * handshake.
 */
export function mutualServers({ credentials, exchanges, peers, log }: Options): NetServer[] {
  const server = createServer({
    ...optionsOf(credentials.current),
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_WITHIN_MS,
    ...CLIENT_SOCKET,
  })
  guardHandshakes(server, exchanges)
  server.on('secureConnection', (socket: TLSSocket) => {
    exchanges.counters.handshakes += 1
    if (!peers.admit(socket)) {
      log.warn('peer refused', { client: socket.remoteAddress, certificate: nameOf(socket) })
      socket.destroy()
      return
    }
    socket.allowHalfOpen = true // a client that ends its side after a request is still answered
    exchanges.accept(socket, true)
  })
  return [follow(server, credentials, log), ...listenersBeside(server)]
}

/** Uses each new credential for new connections, and answers clients that speak plain HTTP. */
function follow<S extends Server>(server: S, credentials: Credentials, log: Log): S {
  const following = credentials.onNew(next => server.setSecureContext(optionsOf(next)))
  server.on('close', () => following[Symbol.dispose]())
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    // Alerts of the other side, and what OpenSSL says of its certificate. At info: a stranger may cause it as often as it likes.
    const why = whyNotTrusted(error, 'the certificate of the client') ?? error.message
    log.info('handshake failed', { client: socket.remoteAddress, code: error.code, why })
    if (error.code === 'ERR_SSL_HTTP_REQUEST') tcpBeneath(socket)?.write(wholeAnswer(problemAnswer(PLAIN, log)))
    socket.destroy()
  })
  return server
}

const PLAIN = new ShadowError('bad-input', 'plain HTTP was spoken to a listener of a cluster, which speaks TLS', {
  hint: 'use https://; a node or a front joins first: shadow node join, shadow proxy join',
})

const nameOf = (socket: TLSSocket): string | undefined => socket.getPeerX509Certificate()?.subjectAltName
