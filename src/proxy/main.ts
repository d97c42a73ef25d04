import { hostname } from 'node:os'
import { type AppChange, followStream } from '../api/change-stream.ts'
import { masterClient } from '../api/client.ts'
import { masterAccess, readMembership, renewMembership } from '../api/membership.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { ownDataFolder } from '../lib/data-folder.ts'
import { asShadowError, ShadowError } from '../lib/errors.ts'
import { lockFolder } from '../lib/files.ts'
import type { Listening } from '../lib/http/listening.ts'
import { renewed, TicketKeys } from '../lib/http/tls/ticket-keys.ts'
import type { Log } from '../lib/log.ts'
import { openMetrics } from '../lib/metrics/listener.ts'
import { Metrics } from '../lib/metrics/metrics.ts'
import { socketsHere } from '../lib/open-files.ts'
import { Buckets } from '../lib/shared/buckets.ts'
import { Gauges } from '../lib/shared/gauges.ts'
import { keepRenewed } from '../lib/tls/renewal.ts'
import type { Hostname } from '../model/hostname.ts'
import { MASTER_CALL_WITHIN } from '../model/intervals.ts'
import { Guard } from './access.ts'
import { FrontCertificates } from './acme/front-certificates.ts'
import type { ProxyConfig } from './config.ts'
import { openDns } from './dns/open.ts'
import { NO_DEMAND } from './fleet/demand.ts'
import { openFleet } from './fleet/open.ts'
import { frontMetrics } from './front-metrics.ts'
import { httpConnector } from './http-connector.ts'
import { type Bound, frontMemory, type Listeners, openListeners, orderedFolder } from './listeners.ts'
import { openLocalStore } from './local-store.ts'
import { LookupLimit } from './lookup-limit.ts'
import type { NodeConnector } from './node-connector.ts'
import { Nodes } from './nodes.ts'
import { Pins } from './pins.ts'
import { Routes } from './routes.ts'
import { Scaling } from './scaling/scaling.ts'
import { TcpListeners } from './tcp/tcp-listeners.ts'
import { TcpPorts } from './tcp/tcp-ports.ts'
import { untrusted } from './visitor.ts'
import { type FrontListeners, Workers } from './workers.ts'

type Options = {
  readonly clock?: Clock
  readonly log: Log
  readonly connector?: NodeConnector
  /** Given by a caller that serves the metrics itself. Otherwise the front serves them, if configured. */
  readonly metrics?: Metrics | undefined
}

/** A front that listens; `tls`: its listener for HTTPS; `dns`: its name server. */
type Front = Listening & { readonly tls: Bound | undefined; readonly dns: Bound | undefined }

/** Starts a front; without a given `connector`, it reaches its nodes over HTTP. Disposing it drains it first. */
export async function startProxy(settings: ProxyConfig, options: Options): Promise<Front> {
  const { clock = systemClock, log } = options
  const config = { ...settings, ...socketsHere(settings.connections, log) }
  await using started = new AsyncDisposableStack()
  const folder = `${config.data}/proxy`
  await ownDataFolder(config.data)
  started.use(await lockFolder(folder))
  const store = started.use(openLocalStore({ folder, log }))
  const membership = await readMembership(folder, 'proxy')
  const master = masterClient({ ...masterAccess('proxy', config, membership), withinMs: MASTER_CALL_WITHIN })
  const credentials = membership?.credentials
  if (membership !== undefined) {
    const renew = () => renewMembership(membership, master)
    started.use(keepRenewed({ credentials: membership.credentials, renew, clock, log }))
  }
  const { connector = httpConnector(credentials) } = options
  const workers = new Workers()
  const onRoute = (hostname: Hostname): void => workers.notify('changed', hostname)
  const lookups = new LookupLimit(config.lookUps, clock)
  const onDoubt = (): void => workers.notify('doubtful', null)
  const routes = new Routes({ master, store, lookups, clock, log, onChange: onRoute, onDoubt })
  let checked: readonly string[] = []
  const onNodes = (): void => {
    workers.notify('nodes', nodes.all)
    // Told with each list, so that a worker that was just starting misses none.
    workers.notify('credential', credentials?.current)
    if (nodes.appNetworks === checked) return
    checked = nodes.appNetworks
    const networks = untrusted(config.trustedProxies, checked)
    if (networks.length > 0)
      log.warn('apps are not trusted as proxies, though SHADOW_TRUSTED_PROXIES has them', { networks })
  }
  const nodes: Nodes = new Nodes({ master, store, connector, clock, log, onChange: onNodes })
  nodes.onSilent(node => workers.notify('silent', node))
  const pins = new Pins(store, (instance, node) => workers.notify('pinned', { instance, node }))
  const memory = frontMemory(config.workers)
  const tcp = new TcpListeners({
    ...{ pins, nodes, connector, clock, log },
    host: config.listen.host,
    ranges: config.tcpPorts,
    guard: new Guard({ clock, apps: new Buckets(memory.apps), clients: new Buckets(memory.clients) }),
    mostConnections: config.tcpConnections,
    drainMs: config.drainWithin,
  })
  started.use(tcp)
  const front =
    membership?.member.name ??
    (hostname()
      .replace(/[^\w.-]/g, '-')
      .slice(0, 100) ||
      'front')
  const tcpPorts = new TcpPorts({ listeners: tcp, master, front, clock, log })
  const targets = new Scaling({
    ...{ master, store, nodes, pins, connector, clock, log },
    gauges: new Gauges(memory.use),
    onListed: routes => void tcpPorts.listed(routes),
  })
  const fleet = await openFleet(config, { nodes, membership, master, clock, log })
  const demand = fleet?.demand ?? NO_DEMAND
  const ticketKeys = new TicketKeys()
  started.use(renewed(ticketKeys, clock))
  credentials?.onNew(next => workers.notify('credential', next))
  const strangers = new LookupLimit(config.lookUps, clock)
  const questions = new LookupLimit(config.lookUps, clock)
  const dns = await openDns({ config, master, front, store, lookups: questions, clock, log })
  if (dns !== undefined) started.use(dns)
  const given = { master, lookups: strangers, clock, log }
  const certificates = await FrontCertificates.open({ ...given, folder: orderedFolder(config) })
  const shared = { routes, pins, nodes, targets, demand, certificates, connector, credentials }
  const parts = { ...shared, config, memory, ticketKeys, clock, log }
  const listening = config.workers > 1 ? await workers.open(parts) : alone(await openListeners({ ...parts, thread: 0 }))
  const { metrics = new Metrics() } = options
  metrics.count('front', () => listening.counted())
  frontMetrics(metrics, {
    nodes: () => nodes.all,
    tcpConnections: () => tcp.connections,
    workerDeaths: () => listening.deaths(),
    lookUpsRefused: () => lookups.refused,
    nameServer: () => dns?.server,
  })
  if (options.metrics === undefined && config.metricsListen !== undefined)
    started.use(await openMetrics(metrics, config.metricsListen, log))
  const ending = new AbortController()
  const onChange = (change: AppChange): void => {
    void routes.changed(change)
    targets.changed()
  }
  const work = [
    nodes.watch(ending.signal),
    targets.run(ending.signal),
    certificates.run(ending.signal),
    followChanges({ master, routes, onChange, clock, log }, ending.signal),
  ]
  if (fleet !== undefined) work.push(fleet.autoscaler.run(ending.signal))
  if (dns !== undefined) work.push(dns.run(ending.signal))
  log.info('front ready', { address: listening.address, tls: listening.tls?.address, dns: dns?.listens?.address })

  const held = started.move()
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    await dns?.leave()
    const closed = Promise.all([listening[Symbol.asyncDispose](), tcp[Symbol.asyncDispose]()])
    ending.abort(new ShadowError('shutting-down', 'this front is stopping'))
    await Promise.all([closed, ...work])
    await held.disposeAsync()
    log.info('front stopped')
  }
  return {
    address: listening.address,
    port: listening.port,
    tls: listening.tls,
    dns: dns?.listens,
    [Symbol.asyncDispose]() {
      stopped ??= stop()
      return stopped
    },
  }
}

const alone = (listeners: Listeners): FrontListeners => ({
  ...listeners,
  counted: async () => [listeners.counted()],
  deaths: () => 0,
})

type Following = {
  master: ReturnType<typeof masterClient>
  routes: Routes
  onChange: (change: AppChange) => void
  clock: Clock
  log: Log
}

/** Follows the changes until the signal aborts. As long as no master says that it has sent all changes, asks about the routes in use. */
const followChanges = ({ master, routes, onChange, clock, log }: Following, signal: AbortSignal): Promise<void> =>
  followStream(
    {
      master,
      clock,
      freshness: routes.freshness,
      onOpen: () => routes.connected(),
      onChange,
      onDoubt: () => void routes.checkUsed(),
      onEnd: cause => log.debug('change stream lost', { code: cause && asShadowError(cause).code, cause }),
    },
    signal,
  )
