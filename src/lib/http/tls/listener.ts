import { createServer as createNetServer, type Server as NetServer, type Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { Log } from '../../log.ts'
import type { Counters } from '../counters.ts'
import { CLIENT_SOCKET, SOCKETS } from '../listening.ts'
import { tcpBeneath } from '../node-internals/sockets.ts'
import { wholeAnswer } from '../problem-answer.ts'
import { type Certificate, tlsTerms } from './certificate.ts'
import type { Certificates } from './certificates.ts'
import { rememberCertificate } from './misdirected.ts'
import { TicketKeys } from './ticket-keys.ts'

/** The server that gets the decrypted connections. */
export type ConnectionServer = {
  readonly counters: Counters
  /** Admits a connection before its handshake. If it returns false, the connection is refused and no longer the caller's. */
  readonly limiter: { enter(socket: Socket, terms: { readonly plain: boolean }): boolean }
  accept(socket: Socket, secure: true): void
}

export type TlsOptions = {
  readonly certificates: Certificates
  /** Asks for a certificate for a name that none covers. It may take seconds; true: it has come. */
  readonly want?: (servername: string) => Promise<boolean>
  readonly exchanges: ConnectionServer
  readonly log: Log
  /** How long a handshake may take before the client is cut. */
  readonly handshakeWithinMs?: number | undefined
  readonly ticketKeys?: TicketKeys | undefined
}

export const HANDSHAKE_WITHIN_MS = 10_000
/** The fatal alert `unrecognized_name` (RFC 8446, 6). */
const UNRECOGNIZED_NAME = Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70])
const PLAIN = {
  status: 400,
  headers: { 'content-type': 'text/plain', 'x-shadow-error': 'bad-input' },
  body: 'HTTP was spoken to the port of HTTPS\n',
}

/** A server of TLS 1.2 and 1.3 for HTTP/2 and HTTP/1.1, of which the client chooses one (ALPN, RFC 7301). */
export function tlsServer({ certificates, want, exchanges, log, handshakeWithinMs, ...given }: TlsOptions): Server {
  const { ticketKeys = new TicketKeys() } = given
  const terms = () => ({ ...tlsTerms, ticketKeys: Buffer.from(ticketKeys.current) })
  const server = createServer({
    ...terms(),
    // A client that offers HTTP/1.0 alone is served like one of HTTP/1.1.
    ALPNProtocols: ['h2', 'http/1.1', 'http/1.0'],
    handshakeTimeout: handshakeWithinMs ?? HANDSHAKE_WITHIN_MS,
    ...CLIENT_SOCKET,
    SNICallback(this: unknown, servername, done) {
      const answer = (): void => {
        const certificate = certificates.find(servername)
        if (certificate !== undefined) return void done(null, certificate.context)
        tcpBeneath(this)?.write(UNRECOGNIZED_NAME)
        done(new Error(`no certificate is for ${servername.slice(0, 300)}`))
      }
      if (want === undefined || certificates.hasFor(servername)) return answer()
      want(servername)
        .then(hasCome => (hasCome ? certificates.read() : undefined))
        .catch(cause => log.warn('certificate not asked for', { servername, cause }))
        .then(answer)
        .catch(cause => log.debug('handshake failed', { cause })) // the client has left meanwhile
    },
  })
  // SNICallback is not called for clients that name no host. They get the certificate of the server's own context.
  let nameless: Certificate | undefined
  const setNameless = (): void => {
    const found = certificates.find(undefined)
    if (found === nameless) return
    nameless = found
    server.setSecureContext({ ...terms(), ...(found && { cert: found.cert, key: found.key }) })
  }
  setNameless()
  certificates.onRead(setNameless)
  ticketKeys.onNew(keys => server.setTicketKeys(Buffer.from(keys)))
  guardHandshakes(server, exchanges, setNameless) // the certificate before may have expired
  return server
    .on('secureConnection', (socket: TLSSocket) => {
      exchanges.counters.handshakes += 1
      const servername = socket.servername || undefined
      const certificate = certificates.find(servername)
      // The session was resumed by a ticket, and its certificate has been removed since.
      if (certificate === undefined) return void socket.destroy()
      rememberCertificate(socket, servername, certificate)
      socket.allowHalfOpen = true // a client that ends its side after a request is still answered; one that ends it during the handshake has left
      exchanges.accept(socket, true)
    })
    .on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
      log.debug('handshake failed', { client: socket.remoteAddress, code: error.code, why: error.message })
      if (error.code === 'ERR_SSL_HTTP_REQUEST') tcpBeneath(socket)?.write(wholeAnswer(PLAIN))
      socket.destroy()
    })
}

/**
 * Counts and refuses connections before their handshakes, which cost a hundred times as much as accepting a connection, and counts
 * handshakes that fail. `onBegin` is called before each handshake.
 */
export function guardHandshakes(server: Server, { limiter, counters }: ConnectionServer, onBegin = () => {}): void {
  const handshakes = server.listeners('connection')
  server.removeAllListeners('connection').on('connection', (socket: Socket) => {
    if (!limiter.enter(socket, { plain: false })) return
    onBegin()
    for (const begin of handshakes) begin.call(server, socket)
  })
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') counters.lateHandshakes += 1
    else counters.failedHandshakes += 1
  })
}

/** Servers on the same port that pass their connections to the TLS server: see `SOCKETS`. */
export const listenersBeside = (server: Server): NetServer[] =>
  Array.from({ length: SOCKETS - 1 }, () =>
    createNetServer(CLIENT_SOCKET, socket => void server.emit('connection', socket)),
  )
