import type { IncomingMessage } from 'node:http'
import { parseValue } from '../api/parse-call.ts'
import { type Definition, ReplaceSchema } from '../api/schemas.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { mergePatch } from '../lib/merge-patch.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { App, Node } from '../model/app.ts'
import type { Hostname } from '../model/hostname.ts'
import type { AppName, VolumeId } from '../model/names.ts'
import { appName, volumeId } from '../model/names.ts'
import { toMs } from '../model/quantities.ts'
import type { Made } from '../model/release.ts'
import { type Route, routeOf } from '../model/route.ts'
import { type AcmeParts, certificateHandlers, orderOf } from './acme/handlers.ts'
import type { AppMoves } from './app-moves.ts'
import type { Expected, Found } from './app-writes.ts'
import type { Apps } from './apps.ts'
import { type BackupParts, backupHandlers } from './backups/handlers.ts'
import type { BlobHandlers } from './blobs/handlers.ts'
import { buildHandlers } from './builds/handlers.ts'
import type { Handlers } from './call.ts'
import type { Callers } from './callers.ts'
import type { ChangeStream } from './change-stream.ts'
import type { ClusterHandlers } from './cluster/handlers.ts'
import type { AppCompanions } from './companions.ts'
import type { Cordons } from './cordons.ts'
import type { DashboardHandlers } from './dashboard/handlers.ts'
import { definitionOf, mustHave } from './definition.ts'
import type { Digests } from './digests.ts'
import { dnsHandlers } from './dns/handlers.ts'
import type { Dns } from './dns/open.ts'
import { domainHandlers } from './domains/handlers.ts'
import { sayCaller } from './exec/open-session.ts'
import { serveExec, serveTerminal } from './exec/session-socket.ts'
import type { Upgrades } from './exec/upgrades.ts'
import { fileHandlers } from './files.ts'
import { fleetHandlers } from './fleet/handlers.ts'
import type { FleetRecords } from './fleet/records.ts'
import type { History } from './history.ts'
import { type ImageParts, imageHandlers } from './images/calls.ts'
import { ownName } from './images/own-name.ts'
import type { Kept } from './kept.ts'
import { streamAppLogs } from './logs/app-logs.ts'
import type { Lookup } from './lookup.ts'
import type { NodeRemoval } from './node-removal.ts'
import type { ControlledNode, Nodes } from './nodes.ts'
import { type NoticeParts, noticeHandlers } from './notices/handlers.ts'
import { overviewHandlers } from './overview/handlers.ts'
import type { Overview } from './overview/overview.ts'
import { tokenHandlers } from './owners/token-handlers.ts'
import { mustBeNode } from './permission.ts'
import type { Permits } from './permits.ts'
import type { Relay } from './relay.ts'
import type { AppSecrets } from './releases/app-secrets.ts'
import { releaseHandlers } from './releases/handlers.ts'
import type { Needed } from './releases/needed.ts'
import type { NextRelease } from './releases/next.ts'
import type { Releases } from './releases/releases.ts'
import { endpointOf } from './rollout/endpoint.ts'
import { atHost } from './rollout/release-lookup.ts'
import { streamRollout } from './rollout/rollouts.ts'
import type { scheduleHandlers } from './schedules/handlers.ts'
import { sessionHandlers } from './sessions/handlers.ts'
import type { OpenSessions } from './sessions/open-sessions.ts'
import type { Forks } from './snapshots/forks.ts'
import { volumeGrowth } from './snapshots/growth.ts'
import { snapshotHandlers } from './snapshots/handlers.ts'
import type { VolumeSnapshots } from './snapshots/snapshots.ts'
import { keyHandlers } from './ssh/handlers.ts'
import type { SshKeys } from './ssh/keys.ts'
import type { SshServer } from './ssh/server.ts'
import type { Storage } from './storage/storage.ts'
import { tcpHandlers } from './tcp-handlers.ts'
import { timelineHandlers } from './timeline/handlers.ts'
import type { OwnEvents } from './timeline/own-events.ts'
import { recordedCalls } from './timeline/recorded-calls.ts'
import type { Timelines } from './timeline/timelines.ts'
import type { Tokens } from './tokens.ts'
import { type UsageParts, usageHandlers } from './usage/handlers.ts'
import type { VolumeErasures } from './volume-erasures.ts'
import type { VolumeImports } from './volume-imports.ts'
import type { Volumes } from './volumes.ts'

type Shown = 'values' | 'digests'

export type Parts = {
  clock: Clock
  keys: SshKeys
  sshServer: () => SshServer | undefined
  history: History
  storage: Storage
  companions: AppCompanions
  apps: Apps
  lookup: Lookup
  next: NextRelease
  releases: Releases
  needed: Needed
  secrets: AppSecrets
  kept: Kept
  volumes: Volumes
  erasures: VolumeErasures
  nodes: Nodes
  cordons: Cordons
  removal: NodeRemoval
  tokens: Tokens
  callers: Pick<Callers, 'knownWith'>
  digests: Digests
  relay: Relay
  changes: ChangeStream
  blobs: BlobHandlers
  permits: Permits
  moves: AppMoves
  imports: VolumeImports
  appsDomain: Hostname
  cluster: ClusterHandlers
  fleets: FleetRecords
  schedules: ReturnType<typeof scheduleHandlers>
  snapshots: VolumeSnapshots
  forks: Forks
  images: ImageParts
  backups: BackupParts
  usage: UsageParts
  timelines: Timelines
  ownEvents: OwnEvents
  dashboard: DashboardHandlers
  overview: Overview
  acme: AcmeParts | undefined
  dns: Dns
  upgrades: Pick<Upgrades, 'accept'>
  notices: NoticeParts
  keyed: Pick<OpenSessions, 'sessions' | 'streams'>
}

const HEALTH_WITHIN_MS = 2_000
/** What callers other than fronts see in place of a node's key. */
const HIDDEN_KEY = '****************'

/** The handlers of the API's calls: each one calls the module that owns the noun. */
export function masterHandlers(parts: Parts): Handlers {
  const {
    clock,
    upgrades,
    keys,
    history,
    storage,
    apps,
    lookup,
    next,
    releases,
    needed,
    secrets,
    kept,
    volumes,
    erasures,
    nodes,
    cordons,
    removal,
    tokens,
    callers,
    digests,
    relay,
    changes,
    permits,
    blobs,
    cluster,
    moves,
    imports,
    appsDomain,
    fleets,
    snapshots,
    forks,
    images,
  } = parts
  const find = async (name: AppName) => (await apps.find(name)).app
  const calls: Handlers = {
    listStats: async () => ({ value: await relay.stats() }),
    openSession: async ({ params, query }, { caller, request, response, signal }) =>
      relay.session(await find(params.app), { ...query, by: sayCaller(caller) }, { request, response, signal }),
    async openTerminal({ params, query: { columns, rows, ...query } }, { caller, request, response, signal }) {
      const app = await find(params.app)
      const by = sayCaller(caller)
      await serveTerminal(await upgrades.accept(request, response), {
        size: { columns, rows },
        open: (content, until) => relay.openSession(app, { ...query, by }, content, until),
        clock,
        signal,
      })
    },
    async openExec({ params, query }, { caller, request, response, signal }) {
      const app = await find(params.app)
      const by = sayCaller(caller)
      await serveExec(await upgrades.accept(request, response), {
        open: (content, until) => relay.openSession(app, { ...query, by }, content, until),
        clock,
        signal,
      })
    },
    async health() {
      await storage.get('probe/health.json', AbortSignal.timeout(HEALTH_WITHIN_MS))
      // Any caller may see this, so it must not say where the store is.
      return { value: { ok: true, storage: storage.name.split(' ')[0] ?? '' } }
    },

    registerApp: async ({ body: { name, access, ...definition }, query: { env, ...made } }, { caller, request }) => {
      const whole = digests.restore(named(definition, request), undefined)
      return withEtag(await apps.register({ name, access, ...whole }, { ...made, who: caller?.name }), env)
    },
    listApps: async ({ query: { after, limit, env, sessions } }) => {
      const { items, next } = await lookup.list(after === undefined ? undefined : appName(after), limit, sessions)
      return { value: { items: items.map(app => shown(app, env)), next } }
    },
    async getApp({ params, query: { env } }, { caller, permit, ifNoneMatch }) {
      const found = await apps.find(params.app)
      await permits.mustBePlaced(found.app, caller, permit)
      return caller?.role === 'node' ? forNode(found, env, ifNoneMatch) : withEtag(found, env)
    },
    getHost: async ({ params }) => {
      const { release, ...found } = await atHost(lookup, apps, params.hostname, appsDomain)
      const { value, etag } = await routeTo(found)
      return { value: release === undefined ? value : { ...value, release }, etag }
    },
    listKept: async () => {
      const routes = await mapAtMost(16, await kept.list(), routeTo)
      return { value: { items: routes.map(({ value }) => value) } }
    },
    replaceApp: async ({ params, body, query: { env, ...made } }, { caller, ifMatch, request, signal }) => {
      const definition = (now: App) => digests.restore(named(body, request), now)
      const options = { expected: ifMatch, signal }
      return withEtag(await update(params.app, definition, 'named', { ...made, who: caller?.name }, options), env)
    },
    updateApp: async ({ params, body, query: { strict, env, ...made } }, { caller, ifMatch, request, signal }) => {
      const definition = (now: App): Definition => {
        if (strict) mustHave(now, body)
        return digests.restore(parseValue(ReplaceSchema, mergePatch(definitionOf(now), named(body, request))), now)
      }
      const image = 'image' in body ? 'named' : 'kept'
      const options = { expected: ifMatch, signal }
      return withEtag(await update(params.app, definition, image, { ...made, who: caller?.name }, options), env)
    },
    setAccess: async ({ params, body, query: { env } }, { ifMatch }) =>
      withEtag(await apps.setAccess(params.app, body, ifMatch), env),
    setScale: async ({ params, body, query: { env } }, { ifMatch }) =>
      withEtag(await apps.setScale(params.app, body, ifMatch), env),
    removeApp: async ({ params, query }, { ifMatch, signal }) => {
      const removedAt = await apps.remove(params.app, query.withVolume, ifMatch, signal)
      if (query.withVolume) await snapshots.removeAll(params.app as string as VolumeId, removedAt)
    },
    setPages: async ({ params, body, query: { env } }, { ifMatch }) =>
      withEtag(await apps.setPages(params.app, body, ifMatch), env),
    pauseApp: async ({ params, body: { why }, query: { env } }, { caller, ifMatch }) =>
      withEtag(await apps.setPause(params.app, { by: caller?.name ?? 'nobody', ...(why && { why }) }, ifMatch), env),
    resumeApp: async ({ params, query: { env } }, { ifMatch }) =>
      withEtag(await apps.setPause(params.app, undefined, ifMatch), env),
    setWakeRules: async ({ params, body, query: { env } }, { ifMatch }) =>
      withEtag(await apps.setWakeRules(params.app, body, ifMatch), env),

    async listVolumes({ query: { after, limit } }) {
      const { items, next } = await volumes.list(after === undefined ? undefined : volumeId(after), limit)
      return {
        value: {
          items: await parts.backups.backups.withBackups(await snapshots.withSnapshots(await relay.withUse(items))),
          next,
        },
      }
    },
    getVolume: async ({ params, query: { use } }) => {
      const volume = await volumes.get(params.volume)
      const [withUse] = use ? await relay.withUse([volume]) : []
      return { value: withUse ?? volume }
    },
    removeVolume: ({ params }, { signal }) => removeVolume(params.volume, signal),
    async leaseVolume({ params, body: { node, boot, ...terms } }, { caller, permit }) {
      mustBeNode(caller, node)
      // A lease without an end is of bytes on that machine's own disk.
      if (boot !== undefined && terms.forMs !== undefined) await nodes.mustBeBoot(node, boot)
      await permits.mustBePlacedWith(params.volume, caller, permit)
      return { value: await volumes.lease(params.volume, node, terms) }
    },
    async releaseVolume({ params, query: { node, epoch } }, { caller }) {
      mustBeNode(caller, node)
      await volumes.release(params.volume, node, epoch)
    },

    async readMovedVolume({ params: { volume }, query: { node, move } }, { caller, response, signal }) {
      mustBeNode(caller, node)
      const from = await volumes.movedFrom(volume, node, move)
      const { app } = await volumes.get(volume)
      await relay.volumeImage(await find(app ?? (volume as string as AppName)), from, response, signal)
    },
    async checkMovedVolume({ params: { volume }, query: { node, move } }, { caller }) {
      mustBeNode(caller, node)
      await volumes.mustBeMoving(volume, node, move)
    },
    async takeMovedVolume({ params: { volume }, body: { node, move } }, { caller }) {
      mustBeNode(caller, node)
      await volumes.finishMove(volume, node, move)
    },

    async listNodes(_, { caller }) {
      const items = await nodes.all()
      const shows = caller?.role === 'proxy'
      return { value: { items: items.map(node => ({ ...shownNode(node), ...(shows && { key: node.key }) })) } }
    },
    async announceNode({ params: { node }, body }, { caller }) {
      mustBeNode(caller, node)
      // A removed node must not come back by a token or certificate that another master still remembers.
      const mayJoin = async () => {
        if (caller !== undefined) await callers.knownWith(caller).mustBeThere(caller.id)
        await volumes.giveBack(node)
      }
      const cordon = await nodes.announce(node, { ...body, member: caller?.member }, mayJoin)
      const revoked = await cluster.revoked()
      const clockAheadMs = nodes.aheadMs(body.at)
      const value = {
        ...cordons.told(cordon),
        ...(revoked.length > 0 && { revoked }),
        ...(clockAheadMs !== undefined && { clockAheadMs }),
      }
      return { value }
    },
    cordonNode: ({ params }) => told(cordons.cordon(params.node)),
    uncordonNode: ({ params }) => told(cordons.uncordon(params.node)),
    drainNode: async ({ params, body: { deadline, volumes } }, { caller }) => {
      mustBeNode(caller, params.node)
      return told(cordons.drain(params.node, toMs(deadline), volumes))
    },

    removeNode: async ({ params, query: { lost: isLost, dryRun } }) => {
      const { lost, free } = await removal.remove(params.node, { isLost, dryRun })
      return { value: { removed: !dryRun, lost: [...lost], free: [...free] } }
    },

    listInstances: async () => ({ value: await relay.instances() }),
    getInstance: async ({ params }) => ({ value: await relay.instance(await find(params.app)) }),
    getPlacement: async ({ params }) => ({ value: await relay.placement(await find(params.app)) }),
    wakeApp: async ({ params }, { signal }) => ({ value: await relay.wake(await find(params.app), signal) }),
    followRollout: async ({ params, query }, { response, signal }) =>
      streamRollout(relay, await find(params.app), query, response, signal),
    getEndpoint: async ({ params }) => ({ value: await endpointOf(relay, await find(params.app), appsDomain) }),
    sleepApp: async ({ params, query: { to } }, { signal }) => ({
      value: await relay.sleep(await find(params.app), signal, { to }),
    }),
    moveApp: async ({ params, body: { to } }, { signal }) => ({
      value: await moves.move(await find(params.app), to, signal),
    }),
    getDefinition: async ({ params }) => {
      const app = await find(params.app)
      const { name, access, scale, wake, pages, tcp } = app
      const values = await secrets.values(app)
      const rules = {
        ...(Object.keys(values).length > 0 && { secrets: values }),
        ...(access !== undefined && { access }),
        ...(scale !== undefined && { scale }),
        ...(wake !== undefined && { wake }),
        ...(pages !== undefined && { pages }),
        ...(tcp !== undefined && { tcp: [...tcp] }),
      }
      return { value: { ...definitionOf(withoutUsualDomain(app)), name, ...rules } }
    },
    async exportVolume({ params }, { response, signal }) {
      const app = await find(params.app)
      if (app.task.volume === undefined) throw new ShadowError('not-found', `${app.name} has no volume`)
      await relay.exportVolume(app, response, signal)
    },
    importVolume: ({ params, query }, { request, signal }) => imports(params.volume, query, request, signal),
    getMove: async ({ params }) => ({ value: { move: await moves.progress(await find(params.app)) } }),
    appLogs: async ({ params, query }, { response, signal }) =>
      streamAppLogs({ relay, clock: parts.clock }, await find(params.app), query, response, signal),
    putBlob: ({ params }, { request, signal }) => blobs.put(params.digest, request, signal),
    getBlob: ({ params }, { request, response, signal }) => blobs.get(params.digest, request, response, signal),
    headBlob: ({ params }, { response }) => blobs.head(params.digest, response),
    changes: (_, { response, signal }) => changes.stream(response, signal),
    ...cluster.calls,
    ...tokenHandlers(tokens),
    ...parts.dashboard,
    ...keyHandlers({ keys, storage, server: parts.sshServer }),
    ...fileHandlers({ apps, relay }),
    ...snapshotHandlers({
      snapshots,
      forks,
      grow: volumeGrowth({ next, relay }),
      mustBeThere: volumes.get,
      mustBePlacedWith: permits.mustBePlacedWith,
      shown,
    }),
    ...releaseHandlers({ find, releases, secrets, needed, digests }),
    ...parts.schedules,
    ...tcpHandlers(parts, withEtag),
    ...sessionHandlers({ ...parts.keyed, apps, permits }, withEtag),
    ...domainHandlers({ find, orderOf: orderOf(parts.acme), view: parts.dns.view, clock: parts.clock }),
    ...dnsHandlers(parts.dns),
    ...certificateHandlers({ acme: parts.acme, clock: parts.clock }),
    ...fleetHandlers({ fleets, cordons, removal, cluster }),
    ...imageHandlers({ ...images, permits }),
    ...backupHandlers(parts.backups),
    ...usageHandlers(parts.usage),
    ...overviewHandlers(parts.overview, parts.usage.prices?.currency ?? null),
    ...noticeHandlers(parts.notices),
    ...buildHandlers({ apps, relay, history, permits, blobs }),
    ...timelineHandlers({ find, timelines: parts.timelines }),
  }
  return { ...calls, ...recordedCalls(calls, parts.ownEvents) }

  function update(
    name: AppName,
    definition: (now: App) => Definition,
    image: 'named' | 'kept',
    made: Made,
    options: { expected: Expected; signal: AbortSignal },
  ): Promise<Found> {
    const plan = (now: App) => ({ definition: definition(now), image, secrets: { changes: {} }, made })
    return next(name, plan, options)
  }

  /** Lets the node know of the change of its cordon. */
  async function told(change: Promise<ControlledNode>): Promise<{ value: Node }> {
    const node = await change
    await relay.announceNow(node)
    return { value: shownNode(node) }
  }

  function shownNode({ controlKey: _, ...node }: ControlledNode): Node {
    return { ...node, key: HIDDEN_KEY }
  }

  /** Parts of a route that are not in the app's document are in the route's version too. */
  async function routeTo({ app, etag }: Found): Promise<{ value: Route; etag: string }> {
    const { place, needs } = await parts.companions.placementOf(app)
    const version = `${etag}.${permits.version}.${place.node ?? ''}.${place.isLocal}.${place.zone ?? ''}`
    return { value: routeOf(app, place, permits.issue(app), needs), etag: version }
  }

  async function removeVolume(id: VolumeId, signal: AbortSignal): Promise<void> {
    await snapshots.removeAll(id, await erasures.free(id, signal))
  }

  /** Without the domain that the app got since none was given: elsewhere the domain of apps may be another one. */
  function withoutUsualDomain(app: App): Omit<App, 'domains'> & Partial<App> {
    const { domains, ...rest } = app
    const isUsual = domains.length === 1 && domains[0] === `${app.name}.${appsDomain}`
    return isUsual ? rest : app
  }

  /** The definition with the image named as it is stored, if its registry is the host that was called. */
  function named<D extends object>(definition: D, { headers }: IncomingMessage): D {
    return 'image' in definition ? { ...definition, image: ownName(definition.image, headers.host) } : definition
  }

  /** The app with its secrets, and with the permit to read its image. The permit changes with the key that signs it. */
  async function forNode({ app, etag }: Found, env: Shown, known: readonly string[] | undefined) {
    const task = permits.withImage(app.task)
    const given = await permits.ofCompanions(app)
    const version = task === app.task && given.permits === undefined ? etag : `${etag}.${permits.version}`
    // A node that has this version has its secrets.
    const whole = known?.includes(version) ? task : await secrets.forNode(task)
    return withEtag({ app: { ...app, ...given, task: whole }, etag: version }, env)
  }

  function withEtag({ app, etag }: Found, env: Shown): { value: App; etag: string } {
    return { value: shown(app, env), etag }
  }

  function shown(app: App, env: Shown): App {
    return env === 'digests' ? { ...app, task: digests.hide(app.task) } : app
  }
}
