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
import { Credentials } from '../lib/tls/credentials.ts'
import { keepRenewed } from '../lib/tls/renewal.ts'
import type { NodeName } from '../model/names.ts'
import { appMoves } from './app-moves.ts'
import { appRegistry } from './apps.ts'
import { blobHandlers } from './blobs/handlers.ts'
import { openBlobs } from './blobs/open.ts'
import { requestCallers } from './callers.ts'
import { changeStream } from './change-stream.ts'
import { isAnnounced, watchChanges } from './change-watcher.ts'
import { domainClaims } from './claims.ts'
import { type ClusterAuthority, readCluster } from './cluster/authority.ts'
import { clusterHandlers } from './cluster/handlers.ts'
import type { MasterConfig } from './config.ts'
import { nodeCordons } from './cordons.ts'
import { envDigests } from './digests.ts'
import { masterHandlers } from './handlers.ts'
import { taskHistory } from './history.ts'
import { masterHandler } from './http.ts'
import { Journal } from './journal.ts'
import { appLookup } from './lookup.ts'
import { nodeRemoval } from './node-removal.ts'
import { nodeRecords } from './nodes.ts'
import { placementPermits } from './permits.ts'
import { appRecords } from './records.ts'
import { nodeRelay } from './relay.ts'
import { openSecrets, rewriteSecrets } from './secrets.ts'
import { openStorage } from './storage/open.ts'
import type { StoragePlace } from './storage/place.ts'
import type { Storage } from './storage/storage.ts'
import { tokenRecords } from './tokens.ts'
import { volumeRecords } from './volumes.ts'

const DRAIN_MS = 2_000
/**
 * The time limit of an upload. All other requests: see `BodyDeadlines`. Five minutes are too few for a large blob over a slow connection.
 */
const UPLOAD_WITHIN_MS = 3_600_000

const LISTEN = { host: '127.0.0.1', port: 8080 }
// Members are on other machines, and callers without a certificate or a token get nothing.
const CLUSTER_LISTEN = { host: '0.0.0.0', port: 8080 }

/** A running master. */
export type Master = Listening & {
  readonly url: string
  readonly storage: string
  /** The certificate of the cluster's CA, PEM; undefined where there is no cluster. */
  readonly ca: string | undefined
  /** The token in `<data>/tokens/<role>`, created if there is none: for a front that runs beside the master. */
  token(role: Exclude<Role, 'node'>): Promise<string>
  /** The token of the node of this name in `<data>/tokens/node-<name>`, created if there is none. */
  nodeToken(node: NodeName): Promise<string>
}

type Given = {
  clock: Clock
  log: Log
  storage?: Storage
  /** Fails with `bad-input` if the store has a cluster: for a master that only its own process calls. */
  isAlone?: boolean
}

/** Starts a master; any number of masters may run on one storage. The admin token is in `<data>/tokens/admin` afterwards. */
export async function startMaster(
  config: MasterConfig,
  { clock, log, storage: given, isAlone }: Given,
): Promise<Master> {
  await ownDataFolder(config.data)
  const place: StoragePlace = config.storage ?? { kind: 'directory', path: join(config.data, 'store') }
  const opened = given ?? (await openStorage(place))
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
  const history = taskHistory(storage, seals)
  const volumes = volumeRecords({ storage, records, clock })
  const cluster = clusterHandlers({ storage, clock, authority })
  const nodes = nodeRecords({ storage, clock, seals, revoked: cluster.revoked })
  const tokens = tokenRecords({ storage, clock })
  const digests = envDigests(seals)
  const changes = changeStream()
  const permits = placementPermits({ seals, records, volumes })
  await using opening = new AsyncDisposableStack()
  const credentials = authority && opening.use(await ownCredentials(authority, clock, log)).credentials
  const relay = nodeRelay({ nodes, volumes, permits, credentials })
  const apps = appRegistry({
    records,
    claims,
    history,
    volumes,
    changes,
    relay,
    clock,
    log,
    appsDomain: config.appsDomain,
  })
  const blobs = await openBlobs(place)
  const lookup = appLookup({ records, claims })
  const callers = requestCallers({ tokens, members: cluster.members })
  const handlers = masterHandlers({
    storage,
    apps,
    lookup,
    history,
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
    moves: appMoves({ nodes, volumes, relay }),
    cluster,
    blobs: blobHandlers({ blobs, limitBytes: config.blobLimit }),
  })

  const token: Master['token'] = role => tokens.ensure(join(config.data, 'tokens', role), role)
  const nodeToken: Master['nodeToken'] = node =>
    tokens.ensure(join(config.data, 'tokens', `node-${node}`), 'node', node)
  await token('admin')
  const ending = new AbortController()
  const handler = masterHandler({ handlers, callers, log, clock, ending: ending.signal })
  const at = config.listen ?? (authority === undefined ? LISTEN : CLUSTER_LISTEN)
  const server = await listen(serverFor(handler, credentials, log), at, DRAIN_MS)
  const { members } = cluster
  const watching = watchChanges({ journal, storage, records, changes, tokens, members, clock, log }, ending.signal)
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
    async [Symbol.asyncDispose]() {
      ending.abort(new ShadowError('shutting-down', 'the master is stopping'))
      await server[Symbol.asyncDispose]()
      await held.disposeAsync()
      await Promise.all([watching, journal.flushed()])
      await blobs.close()
      if (given === undefined) await storage.close()
    },
  }
}

/** The master's own credential, made anew at each start and renewed until it is disposed. */
async function ownCredentials(authority: ClusterAuthority, clock: Clock, log: Log) {
  const credentials = new Credentials(await authority.forMaster())
  const renewal = keepRenewed({ credentials, renew: () => authority.forMaster(), clock, log })
  return { credentials, [Symbol.dispose]: () => renewal[Symbol.dispose]() }
}

const serverFor = (handler: RequestListener, credentials: Credentials | undefined, log: Log) =>
  credentials === undefined
    ? createServer({ requestTimeout: UPLOAD_WITHIN_MS }, handler)
    : mutualApiServer({ credentials, handler, requestTimeoutMs: UPLOAD_WITHIN_MS, log })

const notAlone = ({ name }: Storage): ShadowError =>
  new ShadowError(
    'bad-input',
    `${name} belongs to a cluster, where master, node and front run as daemons of their own`,
    {
      hint: 'run shadow master, shadow nodeproxy and shadow proxy on this data folder instead of shadow up',
    },
  )
