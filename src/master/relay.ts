import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { z } from 'zod'
import { type NodeClient, nodeClient } from '../api/client.ts'
import { endpointOf } from '../api/node-endpoint.ts'
import { PERMIT_HEADER } from '../api/paths.ts'
import type { CheckedSchema } from '../api/schemas.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Credentials } from '../lib/tls/credentials.ts'
import type { App, Volume } from '../model/app.ts'
import type { InstanceView, VolumeUse } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import { MASTER_CALL_WITHIN, NODE_ANNOUNCES_EVERY } from '../model/intervals.ts'
import type { AppName, NodeName, VolumeId } from '../model/names.ts'
import { servesApps } from '../model/node-state.ts'
import {
  type Candidate,
  canAttach,
  isInZone,
  isOverloaded,
  type Placement,
  place,
  REFUSES_WAKE,
  sayRejected,
} from '../model/placement.ts'
import { NO_PLACE, needsOf, type VolumePlace } from '../model/route.ts'
import { HAS_DRIVER, type PinnedImage, type TaskDefinition, type VolumeDriver } from '../model/task.ts'
import { volumeLost } from '../model/volume-lost.ts'
import type { ControlledNode, Nodes } from './nodes.ts'
import type { Permits } from './permits.ts'
import type { Volumes } from './volumes.ts'

type ReceivedBody = { readonly move: string; readonly neededBytes: number }
type Checked = z.output<typeof CheckedSchema>
export type Relay = ReturnType<typeof nodeRelay>

type Options = {
  readonly nodes: Nodes
  readonly volumes: Volumes
  readonly permits: Permits
  /** What this master shows to nodes; undefined where there is no cluster. */
  readonly credentials: Credentials | undefined
}

/** Calls the nodes on behalf of the master's callers. */
export function nodeRelay({ nodes, volumes, permits, credentials }: Options) {
  // The node may have to read the app's definition first, and shows this permit for it.
  const about = (app: App) => ({
    params: { instance: instanceId(app.name) },
    headers: { [PERMIT_HEADER]: permits.issue(app) },
  })
  const clients = new Map<NodeName, { at: string; client: NodeClient }>()
  const clientOf = (node: ControlledNode): NodeClient => {
    const { name, address, controlKey } = node
    if (controlKey === undefined) throw noControl(name)
    const at = `${address} ${controlKey} ${node.member ?? ''}`
    const kept = clients.get(name)
    if (kept?.at === at) return kept.client
    const client = nodeClient({ ...endpointOf(node, credentials), token: controlKey, withinMs: MASTER_CALL_WITHIN })
    clients.set(name, { at, client })
    return client
  }

  const instancesOn = async (node: ControlledNode): Promise<readonly InstanceView[] | undefined> => {
    try {
      return (await clientOf(node).call('listInstances', {})).items
    } catch {
      return undefined // the caller sees this node as silent
    }
  }

  const nodeWith = async (name: NodeName, what: string): Promise<ControlledNode> => {
    const node = await nodes.find(name)
    if (node === undefined)
      throw new ShadowError('node-unreachable', `the node ${name}, which has ${what}, is not known any more`)
    return node
  }

  /**
   * The node to ask about an app: the one that has its volume, else the one that has it awake, else the one where a front would place it.
   * To wake it, a node that has it asleep and drains is left out, and so are nodes that have refused it just now.
   */
  const nodeOf = async (app: App, { toWake = false, without = NONE } = {}): Promise<ControlledNode> => {
    const volume = await placeOf(app)
    // A node that was lost and is back has the volume again, once it asks for the lease.
    if (volume.isLost && volume.node !== null && (await nodes.find(volume.node)) === undefined)
      throw volumeLost(app.name, volume.node)
    if (volume.node !== null && !without.has(volume.node)) return nodeWith(volume.node, `the volume of ${app.name}`)
    const live = await nodes.list()
    // A single node need not be asked whether it is the right one.
    const asked = live.length > 1
    const found = await mapAtMost(16, live, async node => ({ node, instances: asked ? await instancesOn(node) : [] }))
    const wakes = ({ cordon, name }: ControlledNode): boolean => cordon?.drain === undefined && !without.has(name)
    const having = found
      .flatMap(({ node, instances }) =>
        (instances ?? []).filter(one => one.instance === instanceId(app.name)).map(one => ({ node, one })),
      )
      .filter(({ node, one }) => !toWake || one.phase === 'awake' || wakes(node))
      .sort((a, b) => Number(a.one.phase === 'asleep') - Number(b.one.phase === 'asleep'))[0]
    if (having !== undefined) return having.node
    const { node, rejected } = place(app.name, needsOf(app.task, volume), found.map(asCandidate), { without })
    const placed = node ?? (toWake ? undefined : live[0])
    if (placed !== undefined) return placed
    if (live.length === 0)
      throw new ShadowError('no-node', `no node is there for ${app.name}`, { hint: 'shadow nodeproxy' })
    throw new ShadowError('no-node', `no node can take ${app.name}: ${sayRejected(rejected)}`, {
      hint: 'shadow node ls',
    })
  }

  /** A node that is there and has the driver, in the zone of the volume; one of those that have had the volume, if any of them is. */
  const withDriver = async (
    driver: VolumeDriver,
    had: readonly NodeName[],
    { id, zone }: Volume,
  ): Promise<NodeName> => {
    const fit = (await nodes.list()).filter(node => canAttach(node, { driver }) && isInZone(node, zone))
    const names = fit.map(({ name }) => name)
    const chosen = names.find(name => had.includes(name)) ?? names[0]
    if (chosen === undefined)
      throw new ShadowError(
        'no-node',
        `no node is there that has the driver ${driver} of the volume ${id}${zone ? `, in zone ${zone}` : ''}`,
        {
          hint: HAS_DRIVER[driver],
        },
      )
    return chosen
  }

  const placeOf = async ({ task: { volume } }: App): Promise<VolumePlace> =>
    volume === undefined ? NO_PLACE : volumes.placeOf(volume.id)

  /** The client for calls without a time limit of their own: an unreachable node fails at once. */
  const reached = async (node: ControlledNode): Promise<NodeClient> => {
    const client = clientOf(node)
    await client.call('health', {})
    return client
  }

  return {
    /** The names of the apps that are not at rest on the node. Fails with `node-unreachable`. */
    async awakeOn(node: ControlledNode): Promise<readonly AppName[]> {
      const { items } = await clientOf(node).call('listInstances', {})
      return items.filter(({ phase }) => phase !== 'asleep' && phase !== 'crashed').map(({ app }) => app)
    },
    /** Lets the node hear of its cordon now; if it does not answer in time, it hears of it by its next announcement. */
    async announceNow(node: ControlledNode): Promise<void> {
      if (node.state === 'gone' || node.controlKey === undefined) return
      const signal = AbortSignal.timeout(HEARS_WITHIN_MS)
      await clientOf(node)
        .call('announceNow', { signal })
        .catch(() => undefined) // see above
    },
    async instances(): Promise<{ items: InstanceView[]; silent: NodeName[] }> {
      const asked = await mapAtMost(64, await nodes.list(), async node => ({
        node,
        instances: await instancesOn(node),
      }))
      return {
        items: asked.flatMap(({ instances }) => instances ?? []),
        silent: asked.flatMap(({ node, instances }) => (instances === undefined ? node.name : [])),
      }
    },
    /** Where a front without a pin would place the app now, and why. */
    async placement(app: App): Promise<Placement<NodeName>> {
      const volume = await placeOf(app)
      const asked = await mapAtMost(64, await nodes.list(), async node => ({
        node,
        instances: await instancesOn(node),
      }))
      const { node, ...why } = place(app.name, needsOf(app.task, volume), asked.map(asCandidate))
      return { ...why, ...(node !== undefined && { node: node.name }) }
    },
    instance: async (app: App): Promise<InstanceView> => clientOf(await nodeOf(app)).call('getInstance', about(app)),
    /** Wakes the app. If its node has no room or takes it no more, one other node is asked. */
    async wake(app: App, signal: AbortSignal): Promise<InstanceView> {
      const wakeOn = async (node: ControlledNode): Promise<InstanceView> =>
        (await reached(node)).call('wakeInstance', { ...about(app), signal })
      const first = await nodeOf(app, { toWake: true })
      try {
        return await wakeOn(first)
      } catch (error) {
        if (!isFailure(error, ...REFUSES_WAKE)) throw error
        const next = await nodeOf(app, { toWake: true, without: new Set([first.name]) }).catch(() => undefined) // then the first error stands
        if (next === undefined) throw error
        return wakeOn(next)
      }
    },
    /**
     * Has the app's node check a definition that the app may get; undefined if no node can check it. Fails if the definition cannot be run.
     */
    async check(app: App, task: TaskDefinition, signal: AbortSignal): Promise<Checked | undefined> {
      try {
        const client = await reached(await nodeOf(app))
        return await client.call('checkInstance', { ...about(app), body: task, signal })
      } catch (error) {
        if (isFailure(error, 'image-not-found', 'command-not-found', 'definition-refused')) throw error
        signal.throwIfAborted()
        return undefined
      }
    },
    /**
     * The image that the definition names now, on the machine where the app would run; undefined if the image is missing there or no node
     * answers.
     */
    async imageOf(task: TaskDefinition): Promise<PinnedImage | undefined> {
      try {
        const least = (await nodes.list()).toSorted((a, b) => a.memoryUtilization - b.memoryUtilization)[0]
        if (least === undefined) return undefined
        const { image } = await clientOf(least).call('checkInstance', {
          params: { instance: instanceId(task.app) },
          body: task,
        })
        return image ?? undefined
      } catch {
        return undefined // see the doc: undefined
      }
    },
    sleep: async (app: App, signal: AbortSignal): Promise<InstanceView> =>
      (await reached(await nodeOf(app))).call('sleepInstance', { ...about(app), signal }),

    async logs(app: App, query: { follow: boolean; tail: number }, response: ServerResponse, signal: AbortSignal) {
      const client = await reached(await nodeOf(app))
      const answer = await client.raw('instanceLogs', {
        params: { instance: instanceId(app.name) },
        query: { follow: query.follow ? 'true' : 'false', tail: query.tail },
        signal,
      })
      response.writeHead(200, {
        'content-type': answer.headers['content-type'] ?? 'application/x-ndjson',
        'cache-control': 'no-store',
      })
      response.flushHeaders()
      await pipeline(answer.body, response, { signal })
    },

    /** Streams the bytes of a volume from the node that has it. */
    async volumeImage(app: App, from: NodeName, response: ServerResponse, signal: AbortSignal) {
      const volume = app.task.volume?.id as VolumeId
      const client = await reached(await nodeWith(from, `the volume ${volume}`))
      const { headers } = about(app)
      const answer = await client.raw('sendVolume', { params: { volume }, query: { app: app.name }, headers, signal })
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' })
      response.flushHeaders()
      await pipeline(answer.body, response, { signal })
    },
    /** Has the node copy a volume and take it over; see `moveApp`. */
    async receiveVolume(to: ControlledNode, volume: VolumeId, body: ReceivedBody, signal: AbortSignal) {
      await (await reached(to)).call('receiveVolume', { params: { volume }, body, signal })
    },
    /** How much a volume has on the disk of the node. Fails with `node-unreachable`. */
    async onDiskBytes(name: NodeName, volume: VolumeId): Promise<number> {
      const { items } = await clientOf(await nodeWith(name, `the volume ${volume}`)).call('listVolumes', {})
      return items.find(({ id }) => id === volume)?.onDiskBytes ?? 0
    },

    /** The volumes with their used space, as their nodes report it; the space is left out if the node does not answer. */
    async withUse(items: readonly Volume[]): Promise<Volume[]> {
      const names = new Set(items.flatMap(({ lease }) => lease?.node ?? []))
      const having = (await nodes.list()).filter(({ name }) => names.has(name))
      const uses = new Map<string, VolumeUse>()
      await mapAtMost(64, having, async node => {
        const { items: ofNode } = await clientOf(node)
          .call('listVolumes', {})
          .catch(() => ({ items: [] })) // the use stays unknown
        for (const { id, ...use } of ofNode) uses.set(`${node.name} ${id}`, use)
      })
      return items.map(volume => {
        const use = volume.lease === null ? undefined : uses.get(`${volume.lease.node} ${volume.id}`)
        return use === undefined ? volume : { ...volume, use }
      })
    },

    /**
     * Deletes a volume's data on every node that may have it. The node first puts the app to sleep and forgets it. Fails with
     * `node-unreachable`.
     * A node that has given up its lease of a loop volume still has the data. A node that was removed from the records after that does not.
     * The data of a volume of another driver can be reached from all nodes with that driver: one of them deletes it.
     */
    async eraseVolume(id: VolumeId, app: AppName | null, signal: AbortSignal): Promise<void> {
      const volume = await volumes.get(id)
      const { driver } = volume
      const lease = await volumes.leaseOf(id)
      const had = (await volumes.placesOf(id)) ?? (await nodes.list()).map(({ name }) => name)
      const places =
        driver !== undefined && had.length > 0 ? [lease?.node ?? (await withDriver(driver, had, volume))] : had
      const query = { ...(app !== null && { app }), ...(driver && { driver }) }
      for (const place of places) {
        const node = place === lease?.node ? await nodeWith(place, `the volume ${id}`) : await nodes.find(place)
        if (node === undefined) continue
        const client = await reached(node)
        if (app !== null) await gone(client.call('forgetApp', { params: { app }, signal }))
        await gone(client.call('removeVolume', { params: { volume: id }, query, signal }))
      }
    },
  }
}

const HEARS_WITHIN_MS = 2_000
const NONE: ReadonlySet<NodeName> = new Set()

/** A node that was asked for its instances; undefined if it did not answer. */
type Asked = { readonly node: ControlledNode; readonly instances: readonly InstanceView[] | undefined }

const asCandidate = ({ node, instances }: Asked): Candidate<ControlledNode> => ({
  node,
  healthy: instances !== undefined && servesApps(node.state),
  overloaded: isOverloaded(node),
})

/** Resolves if the node does not know what was to be removed: then it is gone already. */
async function gone(asked: Promise<unknown>): Promise<void> {
  try {
    await asked
  } catch (error) {
    if (!isFailure(error, 'app-not-found', 'not-found')) throw error
  }
}

const noControl = (node: NodeName): ShadowError =>
  new ShadowError('node-unreachable', `the node ${node} has not sent its control key yet`, {
    hint: 'a node of this version of Shadow sends it within seconds',
    retryAfterMs: NODE_ANNOUNCES_EVERY,
  })
