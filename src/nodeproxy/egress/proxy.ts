import { createServer, type Server, type Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, ShadowError } from '../../lib/errors.ts'
import { ExchangeServer } from '../../lib/http/downstream/exchange-server.ts'
import type { Exchange } from '../../lib/http/exchange.ts'
import { bind, CLIENT_SOCKET } from '../../lib/http/listening.ts'
import { UpstreamError } from '../../lib/http/next-hop.ts'
import { problemAnswer } from '../../lib/http/problem-answer.ts'
import { plainAddress } from '../../lib/ip.ts'
import { joinStreams } from '../../lib/join-streams.ts'
import type { Log } from '../../lib/log.ts'
import { NOT_NAMED } from '../../model/egress.ts'
import { type Hostname, hostOf } from '../../model/hostname.ts'
import { dial } from './dial.ts'
import { endTls } from './end-tls.ts'
import { firstBytes } from './first-bytes.ts'
import type { Lookup } from './lookup.ts'
import { mayConnect, ownAddresses } from './open-addresses.ts'
import type { AppConnection, ServedApp, ServedApps } from './served-apps.ts'
import type { WireAuthority } from './wire-authority.ts'

type Options = {
  readonly apps: ServedApps
  readonly lookup: Pick<Lookup, 'find'>
  /** Ports of this machine that every app may reach: a front listens there. */
  readonly frontPorts: () => readonly number[]
  /** Certificates for hosts with credentials, whose TLS ends here. */
  readonly authority: Pick<WireAuthority, 'contextFor'>
  /** How the hosts with credentials are connected to: whom to trust. */
  readonly trust: SecureContext
  /** Whether a name may lead to the address: for tests, which have the loopback interface alone. */
  readonly mayConnect?: typeof mayConnect
  readonly clock: Clock
  readonly log: Log
}

/** Alerts of TLS (RFC 8446, 6): `access_denied`, `unrecognized_name`, `internal_error`. */
const ALERT = { denied: 49, nameless: 112, failed: 80 }
const alert = (code: number): Buffer => Buffer.from([0x15, 3, 3, 0, 2, 2, code])
/** No header begins so. */
const NOTHING = ':'
const namesOf = (headers: object): readonly string[] => Object.keys(headers).flatMap(spellings)
/** Some servers take `_` for `-` in the names of headers. */
const spellings = (name: string): readonly string[] => [name.toLowerCase(), name.toLowerCase().replaceAll('-', '_')]
const MOST_TRIED = 3
/** A connection that has passed no byte for so long is cut. */
const IDLE_MS = 3_600_000
/** The same where one side has ended. */
const HALF_IDLE_MS = 300_000

/** `secured`: the host for which TLS was ended here. */
type OfSocket = { readonly app: ServedApp; readonly connection: AppConnection; readonly secured?: Hostname }

/**
 * Connects apps to the hosts that they may reach. The packet filter leads all their connections to certain ports here, whatever address they are
 * for. The host is known by the name that the app says: in its ClientHello, or in the Host of each request of HTTP/1. The proxy finds the
 * host's address itself. It decrypts nothing but what is for a host that gets a secret of the app: there it ends the TLS of the app, adds the secret to each
 * request, and speaks TLS with the host.
 */
export class EgressProxy implements AsyncDisposable {
  readonly #options: Options
  /** The listeners, by the port for which connections are made. */
  readonly #servers = new Map<number, { readonly server: Server; readonly at: number }>()
  readonly #http: ExchangeServer
  readonly #ofSocket = new WeakMap<object, OfSocket>()
  readonly #open = new Set<Socket>()

  constructor(options: Options) {
    this.#options = options
    const { log, clock } = options
    this.#http = new ExchangeServer({
      handler: exchange => this.#handle(exchange),
      answerOf: thrown => problemAnswer(thrown, log),
      log,
      clock,
    })
  }

  /** Listens for connections to exactly these ports. Answers with the ports at the address where they are to be led to. */
  async listen(host: string, wanted: ReadonlySet<number>): Promise<ReadonlyMap<number, number>> {
    for (const [port, { server }] of [...this.#servers]) {
      if (wanted.has(port)) continue
      this.#servers.delete(port)
      server.close() // what is open goes on
    }
    for (const port of wanted) {
      if (this.#servers.has(port)) continue
      const server = createServer({ ...CLIENT_SOCKET, allowHalfOpen: true }, socket => this.#accept(socket, port))
      const bound = await bind(server, { host, port: 0 })
      this.#servers.set(port, { server, at: bound.port })
    }
    return new Map([...this.#servers].map(([port, { at }]) => [port, at]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const servers = [...this.#servers.values()]
    this.#servers.clear()
    for (const { server } of servers) server.close()
    for (const socket of this.#open) socket.destroy()
    this.#http[Symbol.dispose]()
  }

  #accept(socket: Socket, port: number): void {
    const { apps, log } = this.#options
    socket.on('error', () => undefined)
    const app = apps.at(plainAddress(socket.remoteAddress ?? ''))
    const connection: AppConnection = { name: undefined, port, cut: () => void socket.resetAndDestroy() }
    const entered = app && apps.enter(app, connection)
    if (app === undefined || entered === undefined) {
      app?.refused.add(`port ${port}`, 'it has too many connections open, or its node has')
      socket.resetAndDestroy()
      return
    }
    this.#open.add(socket)
    socket.once('close', () => {
      this.#open.delete(socket)
      entered[Symbol.dispose]()
    })
    this.#serve(socket, app, connection).catch(cause => {
      log.debug('connection of an app failed', { name: connection.name, port, cause })
      socket.resetAndDestroy()
    })
  }

  async #serve(socket: Socket, app: ServedApp, connection: AppConnection): Promise<void> {
    const { clock } = this.#options
    const first = await firstBytes(socket, clock)
    if (first === undefined || socket.destroyed) return void socket.destroy()
    if (first.kind === 'plain') {
      this.#ofSocket.set(socket, { app, connection })
      this.#http.accept(socket)
      socket.resume()
      return
    }
    const { port } = connection
    const end = (code: number): void => {
      socket.resume().end(alert(code))
      clock.after(1_000, () => socket.destroy())
    }
    const refuse = (to: string, why: string, code: number): void => {
      app.refused.add(`${to}:${port}`, why)
      end(code)
    }
    if (first.kind === 'fault') return refuse('?', first.fault, ALERT.failed)
    const { servername, isEncrypted } = first
    const name = servername === undefined ? undefined : hostOf(servername)
    if (name === undefined) return refuse(servername ?? '?', 'TLS without the name of a host', ALERT.nameless)
    if (!app.mayReach(name, port)) return refuse(name, NOT_NAMED, ALERT.denied)
    if (isEncrypted) return refuse(name, 'its TLS hides which host is meant (Encrypted Client Hello)', ALERT.denied)
    connection.name = name
    if (app.addedFor(name) !== undefined) return this.#end(socket, name, { app, connection })
    const found = await this.#addressesOf(name, port, app)
    if ('refused' in found) return refuse(name, found.refused, ALERT.denied)
    const upstream = await dial(found.addresses, port, socket, clock).catch(() => undefined)
    if (upstream === undefined || socket.destroyed) {
      upstream?.destroy()
      return end(ALERT.failed)
    }
    joinStreams(socket, upstream, { idleMs: IDLE_MS, halfIdleMs: HALF_IDLE_MS, resetsServer: true, clock })
  }

  /** Ends the TLS of an app to a host that gets a secret, and serves the requests in it. */
  async #end(socket: Socket, name: Hostname, of: OfSocket): Promise<void> {
    const { authority, clock } = this.#options
    const context = await authority.contextFor(name)
    if (socket.destroyed) return
    const secured = await endTls(socket, context, clock)
    if (secured === undefined || socket.destroyed) return void socket.destroy()
    this.#ofSocket.set(secured, { ...of, secured: name })
    this.#http.accept(secured, true)
  }

  /** Handles a request of HTTP/1: each one of a connection names its host. */
  async #handle(exchange: Exchange): Promise<void> {
    const of = this.#ofSocket.get(exchange.connection)
    if (of === undefined) throw new Error('a request without an app')
    const { app, connection, secured } = of
    const { port } = connection
    const name = hostOf(exchange.host)
    const refuse = (why: string): never => {
      app.refused.add(`${name ?? exchange.host?.replace(/:\d*$/, '') ?? '?'}:${port}`, why)
      throw new ShadowError('egress-refused', `${name ?? exchange.host ?? 'a host without a name'}: ${why}`)
    }
    if (name === undefined) return refuse('it is not the name of a host')
    const asked = /:(\d+)$/.exec(exchange.host ?? '')?.[1] ?? port
    if (Number(asked) !== port) return refuse(`its Host names port ${asked}`)
    if (secured !== undefined && name !== secured) return refuse(`its TLS connection is for ${secured}`)
    if (!app.mayReach(name, port)) return refuse(NOT_NAMED)
    const added = app.addedFor(name)
    if (added !== undefined && 'missing' in added)
      return refuse(`its secret ${added.missing} has no value that a header can carry`)
    // An answer to TRACE has the request in it (RFC 9110, 9.3.8).
    if (added !== undefined && exchange.method === 'TRACE') return refuse('TRACE would show the secret to the app')
    connection.name = name
    const found = await this.#addressesOf(name, port, app).catch(cause => {
      throw new ShadowError('egress-failed', `no name server answers for ${name}`, { cause })
    })
    if ('refused' in found) return refuse(found.refused)
    const [address = ''] = found.addresses
    const { trust } = this.#options
    try {
      // Each app has connections of its own to each host.
      await exchange.forward({
        address: `${address}:${port}`,
        upstream: `${app.ip} ${secured === undefined ? 'http' : 'https'} ${name} ${address}:${port}`,
        forwarded: 'keep',
        ...(secured !== undefined && { tls: { servername: name, credentials: { context: trust } } }),
        ...(added !== undefined && {
          requestHeaders: added.headers,
          drops: { prefix: NOTHING, names: namesOf(added.headers) },
        }),
      })
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw asShadowError(error)
      throw new ShadowError('egress-failed', error.message, { cause: error })
    }
  }

  /** Addresses of the host that the app may be connected to; `refused`: why there is none. */
  async #addressesOf(
    name: Hostname,
    port: number,
    app: ServedApp,
  ): Promise<{ readonly addresses: readonly string[] } | { readonly refused: string }> {
    const { lookup, frontPorts, mayConnect: may = mayConnect } = this.#options
    const { addresses } = await lookup.find(name)
    const here = { frontPorts: frontPorts(), own: ownAddresses() }
    const open = addresses.filter(one => may(one, port, app.reaches, here))
    if (open.length > 0) return { addresses: open.slice(0, MOST_TRIED) }
    if (addresses.length === 0) return { refused: 'there is no such host' }
    return { refused: `its address ${addresses[0]} is in a private network, or of this machine` }
  }
}
