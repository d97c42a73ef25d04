import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import type { Role } from '../api/call-shape.ts'
import type { Clock } from '../lib/clock.ts'
import { ownDataFolder } from '../lib/data-folder.ts'
import { ShadowError } from '../lib/errors.ts'
import { listen } from '../lib/http/api/request-handler.ts'
import type { Listening } from '../lib/http/listening.ts'
import { mutualApiServer } from '../lib/http/tls/mutual.ts'
import type { Log } from '../lib/log.ts'
import { openMetrics } from '../lib/metrics/listener.ts'
import { Metrics } from '../lib/metrics/metrics.ts'
import { Credentials } from '../lib/tls/credentials.ts'
import { keepRenewed } from '../lib/tls/renewal.ts'
import type { App } from '../model/app.ts'
import type { Sha256 } from '../model/digest.ts'
import type { NodeName } from '../model/names.ts'
import type { AcmeParts } from './acme/handlers.ts'
import { openAcme } from './acme/open.ts'
import { appMoves } from './app-moves.ts'
import { appWrites } from './app-writes.ts'
import { appRegistry } from './apps.ts'
import { openBackups } from './backups/open-backups.ts'
import { volumeOfRecord } from './backups/records.ts'
import type { BackupSchedule } from './backups/schedule.ts'
import { blobHandlers } from './blobs/handlers.ts'
import { openBlobs } from './blobs/open.ts'
import { requestCallers } from './callers.ts'
import { changeStream } from './change-stream.ts'
import { isAnnounced, watchChanges } from './change-watcher.ts'
import { domainClaims, portClaims } from './claims.ts'
import { type ClusterAuthority, readCluster } from './cluster/authority.ts'
import { clusterHandlers } from './cluster/handlers.ts'
import { appCompanions } from './companions.ts'
import type { MasterConfig } from './config.ts'
import { nodeCordons } from './cordons.ts'
import { openDashboard } from './dashboard/open.ts'
import { BUILT_PAGES, dashboardPages } from './dashboard/pages.ts'
import { envDigests } from './digests.ts'
import { openDns } from './dns/open.ts'
import { openE2b } from './e2b/handler.ts'
import { Upgrades } from './exec/upgrades.ts'
import { fleetRecords } from './fleet/records.ts'
import { masterHandlers } from './handlers.ts'
import { taskHistory } from './history.ts'
import { masterHandler } from './http.ts'
import { collectDaily } from './images/collect-daily.ts'
import { imageCollection } from './images/collection.ts'
import { neededImages } from './images/needed.ts'
import { imagePins } from './images/pins.ts'
import { imageStore } from './images/store.ts'
import { Journal } from './journal.ts'
import { keptApps } from './kept.ts'
import { appLookup } from './lookup.ts'
import { apiMetrics, masterMetrics } from './master-metrics.ts'
import { nodeRemoval } from './node-removal.ts'
import { nodeRecords } from './nodes.ts'
import { openNotices } from './notices/open.ts'
import { Overview } from './overview/overview.ts'
import { ownerGuard } from './owners/guard.ts'
import { placementPermits } from './permits.ts'
import { appRecords } from './records.ts'
import { nodeRelay } from './relay.ts'
import { appSecrets } from './releases/app-secrets.ts'
import { neededByReleases } from './releases/needed.ts'
import { nextRelease } from './releases/next.ts'
import { appReleases } from './releases/releases.ts'
import { secretDocuments } from './releases/secret-documents.ts'
import { dashboardHosts } from './rollout/reserved-hosts.ts'
import { scheduleHandlers } from './schedules/handlers.ts'
import { appOfSchedules, scheduleRecords } from './schedules/records.ts'
import { orNone, ScheduleTicker } from './schedules/ticker.ts'
import { openSecrets, rewriteSecrets } from './secrets.ts'
import { openSessions } from './sessions/open-sessions.ts'
import { undoExpiry } from './snapshots/expiry.ts'
import { volumeForks } from './snapshots/forks.ts'
import { snapshotRecords } from './snapshots/records.ts'
import { volumeSnapshots } from './snapshots/snapshots.ts'
import { sourceCollection } from './sources/source-collection.ts'
import { sourceStore } from './sources/source-store.ts'
import { sshKeys } from './ssh/keys.ts'
import { openSsh, type SshServer } from './ssh/server.ts'
import { storageMetrics } from './storage/measured.ts'
import { openStorage } from './storage/open.ts'
import type { StoragePlace } from './storage/place.ts'
import { probed } from './storage/probed.ts'
import type { Storage } from './storage/storage.ts'
import { storeCollection } from './store-collection.ts'
import { ownEvents } from './timeline/own-events.ts'
import { appTimelines } from './timeline/timelines.ts'
import { tokenRecords } from './tokens.ts'
import { openUsage } from './usage/open.ts'
import { volumeErasures } from './volume-erasures.ts'
import { volumeImports } from './volume-imports.ts'
import { volumeRecords } from './volumes.ts'

const DRAIN_MS = 2_000
/** node:http can limit only the requests of a whole server: `BodyDeadlines` limits each kind of request instead. */
const NO_LIMIT = { requestTimeout: 0 }
const HEAD_WITHIN_MS = 60_000

const LISTEN = { host: '127.0.0.1', port: 8080 }
// Members are on other machines, and callers without a certificate or a token get nothing.
const CLUSTER_LISTEN = { host: '0.0.0.0', port: 8080 }

/** A running master. */
export type Master = Listening & {
  readonly url: string
  readonly storage: string
  /** The certificate of the cluster's CA, PEM; undefined where there is no cluster. */
  readonly ca: string | undefined
  /** The port of the SSH server; undefined if there is none. */
  readonly ssh: number | undefined
  /** The token in `<data>/tokens/<role>`, created if there is none: for a front that runs beside the master. */
  token(role: Exclude<Role, 'node' | 'owner'>): Promise<string>
  /** The token of the node of this name in `<data>/tokens/node-<name>`, created if there is none. */
  nodeToken(node: NodeName): Promise<string>
  /** Tells the master the URL of the front of this machine, for links to apps. */
  frontIs(url: string): void
}

type Given = {
  clock: Clock
  log: Log
  storage?: Storage
  /** The folder of the dashboard's pages; left out: where the build puts them. */
  pages?: string
  /** Fails with `bad-input` if the store has a cluster: for a master that only its own process calls. */
  isAlone?: boolean
  /** Given by a caller that serves the metrics itself. Otherwise the master serves them, if configured. */
  metrics?: Metrics
}

/** Starts a master; any number of masters may run on one storage. The admin token is in `<data>/tokens/admin` afterwards. */
export async function startMaster(
  config: MasterConfig,
  { clock, log, storage: given, pages: folder = BUILT_PAGES, isAlone, metrics: shared }: Given,
): Promise<Master> {
  await ownDataFolder(config.data)
  const place: StoragePlace = config.storage ?? { kind: 'directory', path: join(config.data, 'store') }
  const metrics = shared ?? new Metrics()
  const measured = storageMetrics(metrics)
  const opened = measured(given ?? probed(await openStorage(place), { clock, log }))
  const journal = new Journal({ storage: opened, clock, log })
  await journal.look()
  const storage = journal.over(isAnnounced)
  const seals = await openSecrets({ storage, keys: config.secretsKey, file: join(config.data, 'secrets-key'), log })
  await rewriteSecrets(storage, seals, log).catch(cause =>
    log.warn('stored secrets not encrypted anew; the next start tries again', { cause }),
  )
  const authority = await readCluster({ storage, seals, clock, lastsMs: config.certificateLasts })
  if (authority !== undefined && isAlone === true) throw notAlone(opened)
  const records = appRecords(storage, seals)
  const claims = domainClaims({
    storage,
    clock,
    lists: async (app, hostname) => {
      const record = await records.read(app)
      return record.state === 'live' && record.app.domains.includes(hostname)
    },
  })
  const ports = portClaims({
    storage,
    clock,
    lists: async (app, port) => {
      const record = await records.read(app)
      return record.state === 'live' && record.app.tcp?.some(({ listen }) => `${listen}` === port) === true
    },
  })
  const history = taskHistory(storage, seals)
  const kept = keptApps({ storage, records })
  const volumes = volumeRecords({ storage, records, clock })
  const companions = appCompanions({ records, volumes })
  const cluster = clusterHandlers({ storage, clock, authority })
  const nodes = nodeRecords({ storage, clock, seals, revoked: cluster.revoked })
  const dns = openDns({ config, storage, revoked: cluster.revoked, clock })
  const tokens = tokenRecords({ storage, clock })
  const digests = envDigests(seals)
  const changes = changeStream()
  const permits = placementPermits({ seals, records, volumes, clock })
  await using opening = new AsyncDisposableStack()
  const credentials = authority && opening.use(await ownCredentials(authority, clock, log)).credentials
  const relay = nodeRelay({ nodes, volumes, companions, permits, credentials, isAlone: isAlone === true })
  const layers = await openBlobs(place, 'layers')
  const neededOfImages = neededImages({ records, history })
  const images = imageStore({ storage, blobs: layers, clock, limitBytes: config.blobLimit, needed: neededOfImages })
  const { appsDomain } = config
  const secrets = secretDocuments(storage, seals)
  const blobs = await openBlobs(place)
  const sources = sourceStore({ storage, blobs, clock })
  const hasSource = (digest: Sha256): Promise<void> => sources.mustHave(digest)
  const needed = neededByReleases({ records, history })
  const collection = storeCollection({
    images: imageCollection({ storage, store: images, needed: neededOfImages, clock, log }),
    sources: sourceCollection({ storage, store: sources, needed, clock, log }),
  })
  const reserved = dashboardHosts(config.dashboardUrl, authority?.url)
  const writes = appWrites({
    ...{ records, claims, ports, companions, kept, volumes, clock, log, appsDomain, reserved, hasSource },
  })
  const pins = imagePins(images)
  const erasures = volumeErasures({ records, volumes, relay })
  const parts = {
    images: pins,
    erasures,
    writes,
    records,
    claims,
    ports,
    companions,
    history,
    secrets,
    kept,
    volumes,
    changes,
    relay,
    log,
    appsDomain,
  }
  const apps = appRegistry(parts)
  const beforeChange = (app: App, signal: AbortSignal): Promise<void> => backups.backups.beforeDeploy(app, signal)
  const next = nextRelease({ ...parts, beforeChange })
  const ownSecrets = appSecrets({ writes, records, secrets, digests, changes, next })
  const announce = (key: string): void => journal.tell(key)
  const ofSnapshots = snapshotRecords({ storage, clock })
  const snapshots = volumeSnapshots({ apps: records, records: ofSnapshots, relay, clock, log })
  const backups = await openBackups({
    place,
    storage,
    seals,
    apps,
    secrets: ownSecrets,
    relay,
    snapshots,
    nodes,
    announce,
    clock,
    log,
  })
  const lookup = appLookup({ records, claims, appsDomain })
  const acme = openAcme({ config, storage, seals, lookup, dns, announce, clock, log })
  const dashboard = openDashboard({ config, seals, tokens, storage, clock })
  const { sessions } = dashboard
  const callers = requestCallers({ tokens, members: cluster.members, sessions, clock })
  opening.use(undoExpiry({ snapshots, keptForMs: config.undoKept, clock, log }))
  const schedules = scheduleRecords({ storage, clock })
  const ticker = new ScheduleTicker({
    records: schedules,
    find: name =>
      apps
        .find(name)
        .then(({ app }) => app)
        .catch(orNone),
    relay,
    clock,
    log,
  })
  const keys = sshKeys({ storage, clock })
  let ssh: SshServer | undefined
  const upgrades = new Upgrades()
  const usage = openUsage({ storage, seals, records, tokens, apps, prices: config.prices, clock, log })
  const notices = openNotices({
    storage,
    seals,
    nodes,
    read: relay.summaries,
    budgets: usage.budgets,
    backups: backups.schedule,
    announce,
    clock,
    log,
  })
  const own = ownEvents({ storage, clock, log })
  const timelines = appTimelines({ relay, history, snapshots: ofSnapshots, backups: backups.backups, own, clock })
  let front: string | undefined
  const overview = opening.use(
    new Overview({
      storage,
      changes,
      nodes,
      read: relay.summaries,
      owners: () => tokens.owners(),
      usage: usage.records,
      prices: config.prices,
      front: () => front,
      clock,
      log,
    }),
  )
  const forks = volumeForks({ apps, records, nodes, volumes, erasures, snapshots, relay, secrets: ownSecrets, log })
  const keyed = opening.use(
    openSessions({
      records,
      apps,
      secrets: ownSecrets,
      relay,
      nodes,
      changes,
      kept,
      storage,
      forks,
      volumes,
      appsDomain,
      front: () => front,
      clock,
      log,
    }),
  )
  const handlers = masterHandlers({
    keyed,
    timelines,
    ownEvents: own,
    clock,
    overview,
    acme,
    dns,
    upgrades,
    notices,
    keys,
    sshServer: () => ssh,
    history,
    storage,
    companions,
    apps,
    lookup,
    next,
    needed,
    releases: appReleases({ history, secrets, digests, relay, next }),
    secrets: ownSecrets,
    kept,
    volumes,
    nodes,
    cordons: nodeCordons({ nodes, volumes, clock }),
    removal: nodeRemoval({ nodes, volumes, tokens, members: cluster.members, relay }),
    tokens,
    callers,
    digests,
    relay,
    changes,
    permits,
    moves: appMoves({ nodes, volumes, companions, relay, clock }),
    imports: volumeImports({ nodes, records, volumes, relay }),
    appsDomain,
    cluster,
    fleets: fleetRecords({ storage, clock }),
    schedules: scheduleHandlers({ apps, schedules, ticker, announce, wall: () => clock.wall() }),
    snapshots,
    images: { store: images, needed: neededOfImages, collection },
    forks,
    erasures,
    backups,
    usage,
    dashboard: dashboard.handlers,
    blobs: blobHandlers({ sources, limitBytes: config.blobLimit }),
  })

  const token: Master['token'] = role => tokens.ensure(join(config.data, 'tokens', role), role)
  const nodeToken: Master['nodeToken'] = node =>
    tokens.ensure(join(config.data, 'tokens', `node-${node}`), 'node', node)
  await token('admin')
  const owners = ownerGuard({ records, appsDomain })
  const ending = new AbortController()
  const pages = dashboardPages(folder)
  const e2b = openE2b({ apps, records, relay, keyed, snapshots, forks, seals, callers, front: () => front, clock, log })
  const api = masterHandler({
    handlers,
    images,
    e2b,
    permits,
    callers,
    owners,
    pages,
    log,
    clock,
    ending: ending.signal,
  })
  const handler = apiMetrics(metrics)(api)
  const at = config.listen ?? (authority === undefined ? LISTEN : CLUSTER_LISTEN)
  const server = await listen(serverFor({ handler, upgrades, credentials, log }), at, DRAIN_MS)
  ssh =
    config.ssh &&
    (await openSsh({
      listen: config.ssh,
      storage,
      seals,
      keys,
      open: async (app, by, content, signal) =>
        relay.openSession((await apps.find(app)).app, { wake: true, by }, content, signal),
      data: config.data,
      clock,
      log,
    }))
  masterMetrics(metrics, { nodes: () => nodes.all(), backups: () => backups.schedule.now() })
  if (shared === undefined && config.metricsListen !== undefined)
    opening.use(await openMetrics(metrics, config.metricsListen, log))
  const { members } = cluster
  const ticking = ticker.run(ending.signal)
  const counting = usage.count(ending.signal)
  const noticing = notices.run(ending.signal)
  const keeping = keyed.run(ending.signal)
  const ordering = acme?.run(ending.signal)
  const others = changesOf({ ticker, backups: backups.schedule, overview, notices, acme })
  const watching = watchChanges(
    { journal, storage, records, changes, tokens, members, others, clock, log },
    ending.signal,
  )
  const collecting = collectDaily({ collection, storage, every: config.imagesPruned, clock, log }, ending.signal)
  log.info('master listens', { address: server.address, storage: storage.name, tls: authority !== undefined })
  const held = opening.move()
  return {
    address: server.address,
    port: server.port,
    url: `${authority === undefined ? 'http' : 'https'}://${server.address}`,
    storage: storage.name,
    ca: authority?.ca,
    token,
    nodeToken,
    ssh: ssh?.port,
    frontIs(url) {
      front = url
    },
    async [Symbol.asyncDispose]() {
      ending.abort(new ShadowError('shutting-down', 'the master is stopping'))
      await ssh?.[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      await held.disposeAsync()
      await Promise.all([watching, ticking, counting, noticing, keeping, ordering, collecting, journal.flushed()])
      await Promise.all([blobs.close(), layers.close(), backups[Symbol.asyncDispose]()])
      if (given === undefined) await storage.close()
    },
  }
}

/** Tells those who keep documents of other kinds than apps which of them have changed. */
const changesOf = ({
  ticker,
  backups,
  overview,
  notices,
  acme,
}: {
  ticker: ScheduleTicker
  backups: Pick<BackupSchedule, 'changed' | 'missed'>
  overview: Pick<Overview, 'ownersChanged'>
  notices: Pick<ReturnType<typeof openNotices>, 'changed' | 'missed'>
  acme: Pick<AcmeParts, 'changed'> | undefined
}) => ({
  changed(key: string): void {
    notices.changed(key)
    acme?.changed(key)
    if (key.startsWith('tokens/')) overview.ownersChanged()
    const app = appOfSchedules(key)
    if (app !== undefined) ticker.changed(app)
    const volume = volumeOfRecord(key)
    if (volume !== undefined) backups.changed(volume)
  },
  missed(): void {
    ticker.missed()
    backups.missed()
    notices.missed()
    overview.ownersChanged()
  },
})

/** The master's own credential, made anew at each start and renewed until it is disposed. */
async function ownCredentials(authority: ClusterAuthority, clock: Clock, log: Log) {
  const credentials = new Credentials(await authority.forMaster())
  const renewal = keepRenewed({ credentials, renew: () => authority.forMaster(), clock, log })
  return { credentials, [Symbol.dispose]: () => renewal[Symbol.dispose]() }
}

type Serving = {
  readonly handler: RequestListener
  readonly upgrades: Upgrades
  readonly credentials: Credentials | undefined
  readonly log: Log
}

function serverFor({ handler, upgrades, credentials, log }: Serving) {
  const options = { ...NO_LIMIT, shouldUpgradeCallback: upgrades.isFor }
  const server =
    credentials === undefined ? createServer(options, handler) : mutualApiServer({ credentials, handler, options, log })
  upgrades.follow(server, handler)
  server.headersTimeout = HEAD_WITHIN_MS // node:http would take it from the limit above
  return server
}

const notAlone = ({ name }: Storage): ShadowError =>
  new ShadowError(
    'bad-input',
    `${name} belongs to a cluster, where master, node and front run as daemons of their own`,
    {
      hint: 'run shadow master, shadow nodeproxy and shadow proxy on this data folder instead of shadow up',
    },
  )
