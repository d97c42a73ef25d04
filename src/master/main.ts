import { createServer } from 'node:http'
import { join } from 'node:path'
import type { Role } from '../api/calls.ts'
import type { Clock } from '../lib/clock.ts'
import { ownDataFolder } from '../lib/data-folder.ts'
import { ShadowError } from '../lib/errors.ts'
import { listen } from '../lib/http/api/request-handler.ts'
import type { Listening } from '../lib/http/listening.ts'
import type { Log } from '../lib/log.ts'
import type { NodeName } from '../model/names.ts'
import { appRegistry } from './apps.ts'
import { blobHandlers } from './blobs/handlers.ts'
import { openBlobs } from './blobs/open.ts'
import { changeStream } from './change-stream.ts'
import { isAnnounced, watchChanges } from './change-watcher.ts'
import { domainClaims } from './claims.ts'
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

/** A running master. */
export type Master = Listening & {
  readonly url: string
  readonly storage: string
  /** The token in `<data>/tokens/<role>`, created if there is none: for a front that runs beside the master. */
  token(role: Exclude<Role, 'node'>): Promise<string>
  /** The token of the node of this name in `<data>/tokens/node-<name>`, created if there is none. */
  nodeToken(node: NodeName): Promise<string>
}

type Given = { clock: Clock; log: Log; storage?: Storage }

/** Starts a master; any number of masters may run on one storage. The admin token is in `<data>/tokens/admin` afterwards. */
export async function startMaster(config: MasterConfig, { clock, log, storage: given }: Given): Promise<Master> {
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
  const nodes = nodeRecords({ storage, clock, seals })
  const tokens = tokenRecords({ storage, clock })
  const digests = envDigests(seals)
  const changes = changeStream()
  const permits = placementPermits({ seals, records, volumes })
  const relay = nodeRelay({ nodes, volumes, permits })
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
  const handlers = masterHandlers({
    storage,
    apps,
    lookup,
    history,
    volumes,
    nodes,
    cordons: nodeCordons({ nodes, volumes, clock }),
    removal: nodeRemoval({ nodes, volumes, tokens, relay }),
    tokens,
    digests,
    relay,
    changes,
    permits,
    blobs: blobHandlers({ blobs, limitBytes: config.blobLimit }),
  })

  const token: Master['token'] = role => tokens.ensure(join(config.data, 'tokens', role), role)
  const nodeToken: Master['nodeToken'] = node =>
    tokens.ensure(join(config.data, 'tokens', `node-${node}`), 'node', node)
  await token('admin')
  const ending = new AbortController()
  const handler = masterHandler({ handlers, tokens, log, clock, ending: ending.signal })
  const server = await listen(createServer({ requestTimeout: UPLOAD_WITHIN_MS }, handler), config.listen, DRAIN_MS)
  const watching = watchChanges({ journal, storage, records, changes, tokens, clock, log }, ending.signal)
  log.info('master listens', { address: server.address, storage: storage.name })
  return {
    address: server.address,
    port: server.port,
    url: `http://${server.address}`,
    storage: storage.name,
    token,
    nodeToken,
    async [Symbol.asyncDispose]() {
      ending.abort(new ShadowError('shutting-down', 'the master is stopping'))
      await server[Symbol.asyncDispose]()
      await Promise.all([watching, journal.flushed()])
      await blobs.close()
      if (given === undefined) await storage.close()
    },
  }
}
