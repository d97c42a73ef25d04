import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, ShadowError } from '../../lib/errors.ts'
import { bind, CLIENT_SOCKET } from '../../lib/http/listening.ts'
import { ipOf } from '../../lib/ip.ts'
import { type Joined, joinStreams } from '../../lib/join-streams.ts'
import type { Log } from '../../lib/log.ts'
import type { AppName } from '../../model/names.ts'
import { isPaused } from '../../model/pause.ts'
import { toMs } from '../../model/quantities.ts'
import type { Route } from '../../model/route.ts'
import { isTemplate } from '../../model/session.ts'
import { type FrontPort, TCP_DEFAULTS, type TcpPort } from '../../model/tcp.ts'
import type { Guard } from '../access.ts'
import { Networks } from '../networks.ts'
import { type ConnectParts, connectToApp } from './connect-to-app.ts'
import { isInRanges, type PortRanges } from './port-ranges.ts'

type Options = ConnectParts & {
  readonly host: string
  readonly ranges: PortRanges
  readonly guard: Guard
  /** Most connections of all apps together. */
  readonly mostConnections: number
  readonly drainMs: number
  readonly clock: Clock
  readonly log: Log
}

/** A port that an app asks for. */
type Wanted = { readonly route: Route; readonly port: TcpPort }
type Open = { wanted: Wanted; readonly server: Server }

/** At a stop, a connection on which nothing has passed for so long is closed at once: nobody can tell whether it is in the middle of something. */
const QUIET_MS = 1_000
const LOGGED_AT_MOST_EVERY_MS = 1_000

/** The TCP ports that this front has opened for apps. A connection wakes its app, is joined with it, and keeps it awake. */
export class TcpListeners implements AsyncDisposable {
  readonly #options: Options
  readonly #open = new Map<number, Open>()
  readonly #problems = new Map<number, string>()
  readonly #counts = new Map<AppName, number>()
  readonly #joined = new Set<Joined>()
  readonly #ending = new AbortController()
  readonly #loggedAt = new Map<AppName, number>()
  #connections = 0
  #turn: Promise<void> = Promise.resolve()

  constructor(options: Options) {
    this.#options = options
  }

  get connections(): number {
    return this.#connections
  }

  /** Opens the ports that these apps ask for, and closes all others; resolves with what became of each. Calls take turns. */
  update(routes: readonly Route[]): Promise<readonly FrontPort[]> {
    const done = this.#turn.then(() => this.#update(routes))
    this.#turn = done.then(
      () => undefined,
      () => undefined, // the caller has it
    )
    return done
  }

  async #update(routes: readonly Route[]): Promise<readonly FrontPort[]> {
    const wanted = new Map<number, Wanted>()
    for (const route of routes)
      for (const port of route.tcp ?? []) if (!wanted.has(port.listen)) wanted.set(port.listen, { route, port })
    for (const [listen, { server, wanted: had }] of this.#open) {
      if (wanted.has(listen)) continue
      server.close() // those that are connected stay
      this.#open.delete(listen)
      this.#options.log.info('tcp port closed', { listen, app: had.route.name })
    }
    for (const listen of this.#problems.keys()) if (!wanted.has(listen)) this.#problems.delete(listen)
    for (const [listen, one] of wanted) await this.#openOne(listen, one)
    return [...wanted].map(([listen, { route }]) => {
      const problem = this.#problems.get(listen)
      return { listen, app: route.name, ...(problem !== undefined && { problem }) }
    })
  }

  async #openOne(listen: number, wanted: Wanted): Promise<void> {
    const { host, ranges, log } = this.#options
    const had = this.#open.get(listen)
    if (had !== undefined) {
      had.wanted = wanted
      return
    }
    if (this.#ending.signal.aborted) return
    const fail = (problem: string): void => {
      const app = wanted.route.name
      if (this.#problems.get(listen) !== problem) log.warn('tcp port not opened', { listen, app, problem })
      this.#problems.set(listen, problem)
    }
    if (!isInRanges(listen, ranges)) return fail(`the port ${listen} is not among SHADOW_TCP_PORTS of this front`)
    const server = createServer({ ...CLIENT_SOCKET, allowHalfOpen: true, pauseOnConnect: true }, socket => {
      const now = this.#open.get(listen)
      if (now === undefined) socket.destroy()
      else void this.#serve(socket, now.wanted)
    })
    try {
      await bind(server, { host, port: listen })
    } catch (error) {
      return fail(asShadowError(error).message)
    }
    this.#problems.delete(listen)
    this.#open.set(listen, { wanted, server })
    log.info('tcp port opened', { listen, app: wanted.route.name, port: wanted.port.port })
  }

  async #serve(socket: Socket, { route, port }: Wanted): Promise<void> {
    const { clock, log } = this.#options
    const { name: app } = route
    socket.on('error', () => undefined) // `close` follows
    const address = ipOf(socket.remoteAddress ?? '') ?? 'unknown'
    const client = `${address.includes(':') ? `[${address}]` : address}:${socket.remotePort ?? 0}`
    const gone = new AbortController()
    const onClose = (): void => gone.abort(new ShadowError('client-gone', `${client} left`))
    socket.once('close', onClose)
    let isCounted = false
    try {
      isCounted = this.#enter(route, port)
      this.#admit(route, address)
      mustTakeConnections(route)
      if (route.paused !== undefined) throw isPaused(app, route.paused)
      const asked = { port: port.port, by: `${client} on port ${port.listen}`, wake: mayWake(route, address) }
      const signal = AbortSignal.any([gone.signal, this.#ending.signal])
      const stream = await connectToApp(this.#options, route, asked, signal)
      const from = clock.now()
      const idleMs = port.idle && toMs(port.idle)
      const joined = joinStreams(socket, stream, { idleMs, clock })
      this.#joined.add(joined)
      const ended = await joined.ended
      this.#joined.delete(joined)
      const why = typeof ended === 'string' ? ended : asShadowError(ended.cause ?? closedEarly()).message
      log.debug('tcp connection ended', { app, client, listen: port.listen, ms: Math.round(clock.now() - from), why })
    } catch (thrown) {
      socket.resetAndDestroy()
      const { code, message } = asShadowError(thrown)
      if (code !== 'client-gone') this.#logRefused(app, { client, listen: port.listen, code, why: message })
    } finally {
      socket.off('close', onClose)
      if (isCounted) this.#leave(app)
    }
  }

  #enter({ name }: Route, { connections = TCP_DEFAULTS.connections, listen }: TcpPort): true {
    const count = this.#counts.get(name) ?? 0
    if (count >= connections)
      throw new ShadowError(
        'connections-full',
        `${name} has ${count} connections by its port ${listen}, and may not have more`,
        {
          hint: `shadow port add ${name} ... --connections N`,
        },
      )
    if (this.#connections >= this.#options.mostConnections)
      throw new ShadowError(
        'connections-full',
        `this front has ${this.#connections} TCP connections, and may not have more`,
      )
    this.#counts.set(name, count + 1)
    this.#connections += 1
    return true
  }

  #leave(app: AppName): void {
    const left = (this.#counts.get(app) ?? 0) - 1
    if (left > 0) this.#counts.set(app, left)
    else this.#counts.delete(app)
    this.#connections -= 1
  }

  #admit({ name, access }: Route, address: string): void {
    if (access !== undefined) this.#options.guard.admit(name, access, address)
  }

  /** One line a second for each app: strangers may connect as often as they like. */
  #logRefused(app: AppName, facts: object): void {
    const { clock, log } = this.#options
    const last = this.#loggedAt.get(app) ?? Number.NEGATIVE_INFINITY
    if (clock.now() - last < LOGGED_AT_MOST_EVERY_MS) return
    this.#loggedAt.set(app, clock.now())
    log.warn('tcp connection refused', { app, ...facts })
  }

  /** Takes no more connections, and waits a while for those that are in use. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { clock, drainMs } = this.#options
    this.#ending.abort(new ShadowError('shutting-down', 'this front is stopping'))
    await this.#turn
    for (const { server } of this.#open.values()) server.close()
    const until = clock.now() + drainMs
    const cut = (): void => {
      for (const joined of this.#joined)
        if (clock.now() >= until || clock.now() - joined.usedAt() >= QUIET_MS) joined.cut()
    }
    cut()
    while (this.#joined.size > 0) {
      await new Promise<void>(resolve => void clock.after(100, resolve))
      cut()
    }
  }
}

/** A template has no instance, and a connection shows no token of a session. */
function mustTakeConnections({ name, template, session }: Route): void {
  if (template !== undefined) throw isTemplate(name)
  if (session !== undefined && (session.visitors === 'token' || session.authUrl !== undefined))
    throw new ShadowError(
      'token-missing',
      `the session ${name} asks who its visitors are, and a TCP connection cannot tell`,
    )
}

/** Whether a client from this address may wake the app: a rule that names a network and nothing else is for connections too. */
function mayWake({ wake }: Route, address: string): boolean {
  const networks = (wake?.ignore ?? []).flatMap(({ network, path, agent, method }) =>
    network !== undefined && path === undefined && agent === undefined && method === undefined ? [network] : [],
  )
  return networks.length === 0 || !new Networks(networks).has(address)
}

const closedEarly = (): ShadowError =>
  new ShadowError('client-gone', 'one side was closed before the other one had ended')
