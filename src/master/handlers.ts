import { parseValue } from '../api/parse-call.ts'
import { type Definition, ReplaceSchema } from '../api/schemas.ts'
import { mergePatch } from '../lib/merge-patch.ts'
import type { App, Node } from '../model/app.ts'
import type { AppName, VolumeId } from '../model/names.ts'
import { appName, volumeId } from '../model/names.ts'
import { toMs } from '../model/quantities.ts'
import { NO_PLACE, type Route, routeOf } from '../model/route.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { AppMoves } from './app-moves.ts'
import type { Apps, Found } from './apps.ts'
import type { BlobHandlers } from './blobs/handlers.ts'
import type { Handlers } from './call.ts'
import type { Callers } from './callers.ts'
import type { ChangeStream } from './change-stream.ts'
import type { ClusterHandlers } from './cluster/handlers.ts'
import type { Cordons } from './cordons.ts'
import { definitionOf, mustHave } from './definition.ts'
import type { Digests } from './digests.ts'
import type { History } from './history.ts'
import type { Lookup } from './lookup.ts'
import type { NodeRemoval } from './node-removal.ts'
import type { ControlledNode, Nodes } from './nodes.ts'
import { mustBeNode } from './permission.ts'
import type { Permits } from './permits.ts'
import type { Relay } from './relay.ts'
import type { Storage } from './storage/storage.ts'
import type { Tokens } from './tokens.ts'
import type { Volumes } from './volumes.ts'

type Shown = 'values' | 'digests'

export type Parts = {
  storage: Storage
  apps: Apps
  lookup: Lookup
  history: History
  volumes: Volumes
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
  cluster: ClusterHandlers
}

const HEALTH_WITHIN_MS = 2_000
/** What callers other than fronts see in place of a node's key. */
const HIDDEN_KEY = '****************'

/** The handlers of the API's calls: each one calls the module that owns the noun. */
export function masterHandlers(parts: Parts): Handlers {
  const {
    storage,
    apps,
    lookup,
    history,
    volumes,
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
  } = parts
  const find = async (name: AppName) => (await apps.find(name)).app
  return {
    async health() {
      await storage.get('probe/health.json', AbortSignal.timeout(HEALTH_WITHIN_MS))
      // Any caller may see this, so it must not say where the store is.
      return { value: { ok: true, storage: storage.name.split(' ')[0] ?? '' } }
    },

    registerApp: async ({ body: { name, access, ...definition }, query: { env } }) => {
      const whole = digests.restore(definition, undefined)
      return withEtag(await apps.register({ name, access, ...whole }), env)
    },
    listApps: async ({ query: { after, limit, env } }) => {
      const { items, next } = await lookup.list(after === undefined ? undefined : appName(after), limit)
      return { value: { items: items.map(app => shown(app, env)), next } }
    },
    async getApp({ params, query: { env } }, { caller, permit }) {
      const found = await apps.find(params.app)
      await permits.mustBePlaced(found.app, caller, permit)
      return withEtag(found, env)
    },
    getHost: async ({ params }) => routeTo(await lookup.atHost(params.hostname)),
    replaceApp: async ({ params, body, query: { env } }, { ifMatch, signal }) =>
      withEtag(
        await apps.change(params.app, now => digests.restore(body, now), {
          expected: ifMatch,
          namesImage: true,
          signal,
        }),
        env,
      ),
    updateApp: async ({ params, body, query: { strict, env } }, { ifMatch, signal }) => {
      const next = (now: App): Definition => {
        if (strict) mustHave(now, body)
        return digests.restore(parseValue(ReplaceSchema, mergePatch(definitionOf(now), body)), now)
      }
      const namesImage = 'image' in body
      return withEtag(await apps.change(params.app, next, { expected: ifMatch, namesImage, signal }), env)
    },
    setAccess: async ({ params, body, query: { env } }, { ifMatch }) =>
      withEtag(await apps.setAccess(params.app, body, ifMatch), env),
    removeApp: ({ params, query }, { ifMatch, signal }) => apps.remove(params.app, query.withVolume, ifMatch, signal),
    listTasks: async ({ params, query: { env } }) => {
      const tasks = await history.list(await find(params.app))
      return { value: { items: tasks.map(task => shownTask(task, env)) } }
    },
    getTask: async ({ params, query: { env } }) => ({
      value: shownTask(await history.get(await find(params.app), params.revision), env),
    }),

    async listVolumes({ query: { after, limit } }) {
      const { items, next } = await volumes.list(after === undefined ? undefined : volumeId(after), limit)
      return { value: { items: await relay.withUse(items), next } }
    },
    getVolume: async ({ params }) => ({ value: await volumes.get(params.volume) }),
    removeVolume: ({ params }, { signal }) => removeVolume(params.volume, signal),
    async leaseVolume({ params, body: { node, ...terms } }, { caller, permit }) {
      mustBeNode(caller, node)
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
      return { value: { ...cordons.told(cordon), ...(revoked.length > 0 && { revoked }) } }
    },
    cordonNode: ({ params }) => told(cordons.cordon(params.node)),
    uncordonNode: ({ params }) => told(cordons.uncordon(params.node)),
    drainNode: ({ params, body: { deadline, volumes } }) => told(cordons.drain(params.node, toMs(deadline), volumes)),

    removeNode: async ({ params, query: { lost: isLost, dryRun } }) => {
      const { lost, free } = await removal.remove(params.node, { isLost, dryRun })
      return { value: { removed: !dryRun, lost: [...lost], free: [...free] } }
    },

    createToken: async ({ body }) => ({ value: await tokens.create(body.name, body.role) }),
    listTokens: async () => ({ value: { items: await tokens.list() } }),
    removeToken: ({ params }) => tokens.remove(params.token),

    listInstances: async () => ({ value: await relay.instances() }),
    getInstance: async ({ params }) => ({ value: await relay.instance(await find(params.app)) }),
    getPlacement: async ({ params }) => ({ value: await relay.placement(await find(params.app)) }),
    wakeApp: async ({ params }, { signal }) => ({ value: await relay.wake(await find(params.app), signal) }),
    sleepApp: async ({ params }, { signal }) => ({ value: await relay.sleep(await find(params.app), signal) }),
    moveApp: async ({ params, body: { to } }, { signal }) => ({
      value: await moves(await find(params.app), to, signal),
    }),
    appLogs: async ({ params, query }, { response, signal }) =>
      relay.logs(await find(params.app), query, response, signal),
    putBlob: ({ params }, { request, signal }) => blobs.put(params.digest, request, signal),
    getBlob: ({ params }, { request, response, signal }) => blobs.get(params.digest, request, response, signal),
    headBlob: ({ params }, { response }) => blobs.head(params.digest, response),
    changes: (_, { response, signal }) => changes.stream(response, signal),
    ...cluster.calls,
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
    const { volume } = app.task
    const place = volume === undefined ? NO_PLACE : await volumes.placeOf(volume.id)
    const version = `${etag}.${permits.version}.${place.node ?? ''}.${place.isLocal}.${place.zone ?? ''}`
    return { value: routeOf(app, place, permits.issue(app)), etag: version }
  }

  async function removeVolume(id: VolumeId, signal: AbortSignal): Promise<void> {
    await volumes.mustBeFree(id)
    await relay.eraseVolume(id, null, signal)
    await volumes.forget(id)
  }

  function withEtag({ app, etag }: Found, env: Shown): { value: App; etag: string } {
    return { value: shown(app, env), etag }
  }

  function shown(app: App, env: Shown): App {
    return { ...app, task: shownTask(app.task, env) }
  }

  function shownTask(task: TaskDefinition, env: Shown): TaskDefinition {
    return env === 'digests' ? digests.hide(task) : task
  }
}
