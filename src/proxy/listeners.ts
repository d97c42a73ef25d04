import { goneUpstream } from '../api/forwarding.ts'
import type { Clock } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { makeFolder } from '../lib/files.ts'
import type { Counted } from '../lib/http/counters.ts'
import { ExchangeServer, listenFor } from '../lib/http/downstream/exchange-server.ts'
import { LIMITS, type Limits } from '../lib/http/guard/limits.ts'
import { bindAll, type Listening } from '../lib/http/listening.ts'
import { Certificates } from '../lib/http/tls/certificates.ts'
import { listenersBeside, tlsServer } from '../lib/http/tls/listener.ts'
import type { TicketKeys } from '../lib/http/tls/ticket-keys.ts'
import { type Log, noLog } from '../lib/log.ts'
import type { SocketLimits } from '../lib/open-files.ts'
import { Buckets, bucketsMemory } from '../lib/shared/buckets.ts'
import { Counts, countsMemory } from '../lib/shared/counts.ts'
import { Gauges, gaugesMemory } from '../lib/shared/gauges.ts'
import { openTracing } from '../lib/tracing/open.ts'
import { CLIENT_PING_EVERY } from '../model/intervals.ts'
import { Guard } from './access.ts'
import type { OrderedCertificates } from './acme/front-certificates.ts'
import { Bounds } from './bounds.ts'
import type { ProxyConfig } from './config.ts'
import { ErrorAnswers } from './error-answers.ts'
import { nodeSilent } from './failover.ts'
import type { FrontParts } from './front-parts.ts'
import { frontHandler } from './http.ts'
import { Https } from './https.ts'
import type { NodeConnector } from './node-connector.ts'
import { SpreadApps } from './scaling/spread-apps.ts'
import type { Targets } from './scaling/targets.ts'
import { ForwardAuth } from './sessions/forward-auth.ts'
import { OpenVisits } from './sessions/open-visits.ts'
import { SessionVisits } from './sessions/session-visits.ts'
import { TrustedProxies } from './visitor.ts'
import { openAnswerStore } from './wake/answer-store.ts'
import { KeptAnswers } from './wake/kept-answers.ts'
import { WakeGate } from './wake/wake-gate.ts'

/** The settings of a front, with the most sockets of clients and upstreams that its process may have open. */
export type FrontConfig = ProxyConfig & Pick<SocketLimits, 'sockets'>

/** What all threads of a front count together. */
export type FrontMemory = {
  readonly connections: SharedArrayBuffer
  /** Use of each app, and of each client of an app. */
  readonly apps: SharedArrayBuffer
  readonly clients: SharedArrayBuffer
  /** What of each app is open, and all sockets of the front. */
  readonly use: SharedArrayBuffer
  /** Streams of HTTP/2 that each client left before they were answered. */
  readonly resets: SharedArrayBuffer
}

export const frontMemory = (threads: number): FrontMemory => ({
  connections: countsMemory({ threads }),
  apps: bucketsMemory(),
  clients: bucketsMemory(),
  resets: bucketsMemory(),
  use: gaugesMemory({ threads }),
})

type Parts = Pick<FrontParts, 'routes' | 'pins' | 'nodes' | 'demand' | 'certificates'> & {
  readonly config: FrontConfig
  readonly connector: Pick<NodeConnector, 'hold' | 'follow' | 'onRunEnded' | 'hopTo'>
  readonly targets: Targets
  readonly memory: FrontMemory
  /** Which of the threads that share the memory this is. */
  readonly thread: number
  /** The same in all of them, so that a TLS session may be resumed in any. */
  readonly ticketKeys: TicketKeys
  readonly clock: Clock
  readonly log: Log
}

/** What a front listens on, in one thread. */
export type Listeners = Listening & { readonly tls: Bound | undefined; counted(): Counted }
export type Bound = { readonly address: string; readonly port: number }

/** Opens all that a front listens on, in this thread: the only one, or each of several. Disposing it drains it. */
export async function openListeners({
  config,
  connector,
  memory,
  thread,
  ticketKeys,
  targets,
  ...parts
}: Parts): Promise<Listeners> {
  const { clock, log } = parts
  await using opening = new AsyncDisposableStack()
  const ending = new AbortController()
  const tracing = opening.use(await openTracing(config, { service: 'shadow-front', clock, log }))
  const answers = opening.use(openAnswerStore({ folder: `${config.data}/proxy`, log }))
  const errors = new ErrorAnswers({ log, clock })
  const trusted = new TrustedProxies(config.trustedProxies, () => parts.nodes.appNetworks)
  let tlsPort: number | undefined
  const https = new Https({ mode: config.https, hsts: config.hsts, port: () => tlsPort })
  const open = opening.use(new OpenVisits({ routes: parts.routes, clock }))
  const use = new Gauges(memory.use, thread)
  const { sockets, connections } = config
  const handler = frontHandler({
    ...parts,
    errors,
    https,
    connector,
    guard: new Guard({ clock, apps: new Buckets(memory.apps), clients: new Buckets(memory.clients) }),
    bounds: new Bounds({ clock, gauges: use, waitingPerApp: config.waitingPerApp, sockets, connections }),
    trusted,
    gate: new WakeGate(),
    answers: new KeptAnswers({ store: answers, clock }),
    visits: new SessionVisits({ open, auth: new ForwardAuth(clock), clock }),
    spread: new SpreadApps({ ...parts, gauges: use, targets }),
    tracer: tracing.tracer,
    waitingPageAfterMs: config.waitingPageAfter,
    ending: ending.signal,
  })
  const exchanges = new ExchangeServer({
    handler,
    answerOf: errors.answerOf,
    log,
    clock,
    connectWithinMs: config.connectWithin,
    limits: limitsOf(config),
    connections: {
      most: connections,
      mostPerAddress: config.connectionsPerAddress,
      exempt: { check: address => trusted.has(address) },
      counts: new Counts(memory.connections, thread),
    },
    sockets: { most: sockets, gauge: use.of('') },
    resets: new Buckets(memory.resets),
    pingEveryMs: CLIENT_PING_EVERY,
  })
  connector.onRunEnded?.(ended => exchanges.forget(goneUpstream(ended)))
  parts.nodes.onSilent(node => {
    const hop = connector.hopTo?.(node)
    if (hop !== undefined) exchanges.cut(hop, nodeSilent(node.name))
  })
  const tls = await openTls({ config, exchanges, ordered: parts.certificates, ticketKeys, thread, clock, log })
  opening.defer(() => tls?.close())
  tlsPort = tls?.bound.port
  const listening = await listenFor(exchanges, config.listen, config.drainWithin, { beside: tls?.servers ?? [] })
  const opened = opening.move()
  return {
    ...listening,
    tls: tls?.bound,
    counted: () => ({ ...exchanges.counted, ...tracing.counts() }),
    async [Symbol.asyncDispose]() {
      const closed = listening[Symbol.asyncDispose]()
      ending.abort(new ShadowError('shutting-down', 'this front is stopping'))
      await closed
      await opened.disposeAsync()
    },
  }
}

type Tls = Pick<Parts, 'config' | 'ticketKeys' | 'thread' | 'clock' | 'log'> & {
  readonly exchanges: ExchangeServer
  readonly ordered: OrderedCertificates
}

/** Opens the listener for HTTPS, if one is configured. */
async function openTls({ config, exchanges, ordered, ticketKeys, thread, clock, log }: Tls) {
  if (config.tlsListen === undefined) return undefined
  const usual = `${config.data}/certificates`
  // All certificates may come from the masters.
  if (config.tlsCertificates === undefined) await makeFolder(usual)
  const certificates = await Certificates.open({
    folder: config.tlsCertificates ?? usual,
    ordered: orderedFolder(config),
    clock,
    log: thread === 0 ? log : noLog, // all threads read the same
  }).catch(cause => {
    if (!isFailure(cause, 'bad-input')) throw cause
    throw new ShadowError('bad-input', `SHADOW_TLS_LISTEN is set, and ${cause.message}`, {
      cause,
      hint: 'put HOSTNAME.crt and HOSTNAME.key there, or name another folder: SHADOW_TLS_CERTIFICATES',
    })
  })
  ordered.onChange(() => void certificates.read().catch(cause => log.warn('certificates not looked at', { cause })))
  const server = tlsServer({
    certificates,
    want: name => ordered.want(name),
    exchanges,
    log,
    handshakeWithinMs: config.tlsHandshakeWithin,
    ticketKeys,
  })
  const servers = [server, ...listenersBeside(server)]
  const close = (): void => {
    certificates[Symbol.dispose]()
    for (const one of servers) if (one.listening) one.close()
  }
  try {
    return { servers, bound: await bindAll(servers, config.tlsListen), close }
  } catch (error) {
    close()
    throw error
  }
}

/** Where this front keeps the certificates that masters order. */
export const orderedFolder = ({ data }: Pick<ProxyConfig, 'data'>): string => `${data}/proxy/certificates`

const limitsOf = (config: ProxyConfig): Limits => ({
  ...LIMITS,
  headBytes: config.headSize,
  headers: config.headFields,
  lineBytes: config.targetSize,
  bodyBytes: config.bodySize ?? LIMITS.bodyBytes,
  headWithinMs: config.headWithin,
  keepAliveMs: config.keepAlive,
  stalledAfterMs: config.stalledAfter,
  leastBytesPerSecond: config.leastRate,
  requestsPerConnection: config.requestsPerConnection,
})
