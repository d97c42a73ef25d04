import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import { type NodeClient, nodeClient } from '../api/client.ts'
import type { LogQuery } from '../api/log-query.ts'
import { endpointOf } from '../api/node-endpoint.ts'
import { PERMIT_HEADER } from '../api/paths.ts'
import type { ScheduledRunSchema } from '../api/schedule-schemas.ts'
import type { CheckedSchema } from '../api/schemas.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import type { Answer } from '../lib/http/api/call.ts'
import { readEvents } from '../lib/http/api/events.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Credentials } from '../lib/tls/credentials.ts'
import type { App, Volume } from '../model/app.ts'
import { appOfBuilt } from '../model/build.ts'
import { type InstanceView, isRunning, type SleepTier, type VolumeUse } from '../model/instance.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import { MASTER_CALL_WITHIN, NODE_ANNOUNCES_EVERY } from '../model/intervals.ts'
import type { AppName, NodeName, VolumeId } from '../model/names.ts'
import { servesApps } from '../model/node-state.ts'
import {
  type Candidate,
  canAttach,
  hintOfRejected,
  isInZone,
  isOverloaded,
  type Placement,
  place,
  REFUSES_WAKE,
  sayRejected,
} from '../model/placement.ts'
import type { SessionEndKind } from '../model/session.ts'
import { HAS_DRIVER, type PinnedImage, type TaskDefinition, type VolumeDriver } from '../model/task.ts'
import { volumeLost } from '../model/volume-lost.ts'
import type { MoveProgress } from '../model/volume-move.ts'
import { askNodes } from './ask-nodes.ts'
import type { AppCompanions } from './companions.ts'
import { joinSession, openSession, type SessionCall, type SessionQuery } from './exec/join-session.ts'
import type { LogSource, LogSources } from './logs/merged-log.ts'
import { gone, passOn } from './node-answers.ts'
import { readStats } from './node-stats.ts'
import type { ControlledNode, Nodes } from './nodes.ts'
import { type Asking, readSummaries } from './overview/node-summaries.ts'
import type { Permits } from './permits.ts'
import type { Volumes } from './volumes.ts'

type ReceivedBody = { readonly move: string; readonly neededBytes: number; readonly sizeBytes: number }
type ImportedQuery = {
  readonly move: string
  readonly driver?: VolumeDriver
  readonly size: number
  readonly bytes: number
}
type Sleeping = { readonly kind?: SessionEndKind; readonly to?: SleepTier; readonly createdAt?: string }
/** The app that is being removed, or null; and the time of the last app that the data may be of. */
type Erased = { readonly app: AppName | null; readonly of: string }
type Checked = z.output<typeof CheckedSchema>
export type Relay = ReturnType<typeof nodeRelay>

/** An instance, whether it runs or not, and its node. */
type RolloutTarget = { readonly node: ControlledNode; readonly instance: InstanceId }

type Options = {
  readonly nodes: Nodes
  readonly volumes: Volumes
  readonly companions: Pick<AppCompanions, 'placementOf'>
  readonly permits: Permits
  /** What this master shows to nodes; undefined where there is no cluster. */
  readonly credentials: Credentials | undefined
  /** There is only the node in this process: what it builds stays with it. */
  readonly isAlone: boolean
}

/** Calls the nodes on behalf of the master's callers. */
export function nodeRelay({ nodes, volumes, companions, permits, credentials, isAlone }: Options) {
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

  /** Asks the nodes for their instances, `most` at a time. */
  const askAll = async (most: number): Promise<readonly Asked[]> =>
    mapAtMost(most, await nodes.list(), async node => ({ node, instances: await instancesOn(node) }))

  /** The instances of the app that are not at rest, with their nodes; those of nodes that do not answer are left out. */
  const awakeOf = async (app: AppName) =>
    (await askAll(16)).flatMap(({ node, instances = [] }) =>
      instances.filter(one => one.app === app && one.phase !== 'asleep').map(one => ({ node, one })),
    )

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
    const { place: volume, needs } = await companions.placementOf(app)
    // A node that was lost and is back has the volume again, once it asks for the lease.
    if (volume.isLost && volume.node !== null && (await nodes.find(volume.node)) === undefined)
      throw volumeLost(app.name, volume.node)
    if (volume.node !== null && !without.has(volume.node)) return nodeWith(volume.node, `the volume of ${app.name}`)
    // A session is where it was placed, and nowhere else: the other nodes need not be asked.
    const home = needs.home === undefined || without.has(needs.home) ? undefined : await nodes.find(needs.home)
    if (home !== undefined && servesApps(home.state)) return home
    const live = await nodes.list()
    // A single node need not be asked whether it is the right one.
    const asked = live.length > 1
    const found = await mapAtMost(16, live, async node => ({ node, instances: asked ? await instancesOn(node) : [] }))
    const wakes = ({ cordon, name }: ControlledNode): boolean => cordon?.drain === undefined && !without.has(name)
    const having = found
      .flatMap(({ node, instances }) =>
        (instances ?? []).filter(one => one.instance === instanceId(app.name)).map(one => ({ node, one })),
      )
      .filter(({ node, one }) => !toWake || isRunning(one.phase) || wakes(node))
      .sort((a, b) => Number(a.one.phase === 'asleep') - Number(b.one.phase === 'asleep'))[0]
    if (having !== undefined) return having.node
    const { node, rejected } = place(app.name, needs, found.map(asCandidate), { without })
    const placed = node ?? (toWake ? undefined : live[0])
    if (placed !== undefined) return placed
    if (live.length === 0)
      throw new ShadowError('no-node', `no node is there for ${app.name}`, { hint: 'shadow nodeproxy' })
    throw new ShadowError('no-node', `no node can take ${app.name}: ${sayRejected(rejected)}`, {
      hint: hintOfRejected(rejected, volume.zone),
    })
  }

  /** Where an app that does not exist yet would run. */
  const nodeForNew = async (app: AppName): Promise<ControlledNode> => {
    const { node, rejected } = place(app, {}, (await askAll(16)).map(asCandidate), {})
    if (node !== undefined) return node
    throw new ShadowError('no-node', `no node can take ${app}: ${sayRejected(rejected) || 'none is there'}`, {
      hint: 'shadow node ls',
    })
  }

  /** A node that is there and has the driver, in the zone of the volume; one of those that have had the volume, if any of them is. */
  const withDriver = async (
    driver: VolumeDriver,
    had: readonly NodeName[],
    { id, zone }: Pick<Volume, 'id' | 'zone'>,
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

  /** The client for calls without a time limit of their own: an unreachable node fails at once. */
  const reached = async (node: ControlledNode): Promise<NodeClient> => {
    const client = clientOf(node)
    await client.call('health', {})
    return client
  }

  return {
    /** The node that has the app's volume, or can attach it; what it is called by; and the permit to show it. */
    async nodeFor(app: App) {
      const node = await nodeOf(app)
      return { node: node.name, client: await reached(node), headers: about(app).headers }
    },
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
      const asked = await askAll(64)
      return {
        items: asked.flatMap(({ instances }) => instances ?? []),
        silent: asked.flatMap(({ node, instances }) => (instances === undefined ? node.name : [])),
      }
    },
    /** What a list of apps needs of the instances of a node, that has changed since a version. Fails if the node does not answer in time. */
    summaries: (node: ControlledNode, ...asked: Asking) => readSummaries(clientOf(node), ...asked),
    stats: async () => readStats(await nodes.list(), clientOf),
    /** Asks all nodes; `silent`: those that did not answer. */
    askEach: async <T>(ask: (node: NodeClient) => Promise<T>) =>
      askNodes(await nodes.all(), async node => ask(clientOf(node))),
    /** Where a front without a pin would place the app now, and why. */
    async placement(app: App): Promise<Placement<NodeName>> {
      const { needs } = await companions.placementOf(app)
      const asked = await askAll(64)
      const { node, ...why } = place(app.name, needs, asked.map(asCandidate))
      return { ...why, ...(node !== undefined && { node: node.name }) }
    },
    /** Something for each change of the instance of the app, as its node tells it; ends with the node's stream. */
    async *follow(app: App, signal: AbortSignal): AsyncGenerator<unknown> {
      const client = await reached(await nodeOf(app))
      const { body } = await client.raw('followInstance', { ...about(app), signal })
      yield* readEvents(body)
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
    /** Wakes the app where it would be woken, and has it kept awake for so long. */
    async keep(app: App, body: { forMs: number; why: string }, signal: AbortSignal): Promise<void> {
      const client = await reached(await nodeOf(app, { toWake: true }))
      await client.call('keepInstance', { ...about(app), body, signal })
    },
    /** Has the app's node do what a schedule says, waking the app first. */
    async runScheduled(app: App, body: z.input<typeof ScheduledRunSchema>, signal: AbortSignal) {
      const client = await reached(await nodeOf(app, { toWake: true }))
      return client.call('runScheduled', { ...about(app), body, signal })
    },
    /**
     * Has the app's node check a definition that the app may get; undefined if no node can check it. Fails if the definition cannot be run.
     */
    async check(app: App, task: TaskDefinition, signal: AbortSignal): Promise<Checked | undefined> {
      try {
        const client = await reached(await nodeOf(app))
        return await client.call('checkInstance', { ...about(app), body: permits.withImage(task), signal })
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
      const all = (await nodes.list()).toSorted((a, b) => a.memoryUtilization - b.memoryUtilization)
      // An image that Shadow built may be on one node only.
      const has = ({ images = [] }: ControlledNode): boolean => images.some(key => task.image.endsWith(`:${key}`))
      const asked =
        appOfBuilt(task.image) !== undefined ? all.toSorted((a, b) => Number(has(b)) - Number(has(a))) : all.slice(0, 1)
      const params = { instance: instanceId(task.app) }
      for (const node of asked)
        try {
          const { image } = await clientOf(node).call('checkInstance', { params, body: task })
          if (image !== null) return image
        } catch {}
      return undefined
    },
    /** Puts all instances of the app to sleep; returns its plain one. */
    async sleep(app: App, signal: AbortSignal, how: Sleeping = {}): Promise<InstanceView> {
      const sleepOn = async (node: ControlledNode, instance: InstanceId): Promise<InstanceView> =>
        (await reached(node)).call('sleepInstance', { ...about(app), params: { instance }, query: how, signal })
      const plain = instanceId(app.name)
      const others = app.scale === undefined ? [] : await awakeOf(app.name)
      const [view] = await Promise.all([
        nodeOf(app).then(node => sleepOn(node, plain)),
        ...others.filter(({ one }) => one.instance !== plain).map(({ node, one }) => sleepOn(node, one.instance)),
      ])
      return view
    },

    /** The instances of the app to follow in a rollout: those that are not at rest, else, to wake it, its plain one. */
    async rolloutTargets(app: App, wake: boolean): Promise<readonly RolloutTarget[]> {
      const awake = (await awakeOf(app.name)).map(({ node, one }) => ({
        node,
        instance: one.instance,
        phase: one.phase,
      }))
      const running = awake.filter(({ phase }) => phase !== 'crashed')
      if (running.length > 0) return running
      return wake ? [{ node: await nodeOf(app, { toWake: true }), instance: instanceId(app.name) }] : []
    },
    /** How one instance comes to a revision: NDJSON of its node. */
    async followRollout(
      app: App,
      { node, instance }: RolloutTarget,
      { revision, wake, within }: { revision: number; wake: boolean; within: number },
      signal: AbortSignal,
    ): Promise<Answer> {
      const query = { revision, wake: wake ? ('true' as const) : ('false' as const), within }
      return (await reached(node)).raw('followRollout', { ...about(app), params: { instance }, query, signal })
    },

    /** The instances of the app, whether they run or not, and the nodes that do not answer. */
    async logSources({ name }: Pick<App, 'name'>): Promise<LogSources> {
      const { items, silent } = await this.instances()
      return { sources: items.filter(one => one.app === name), silent }
    },
    /** Reads the log of one instance; left out: of the plain one, on its node. */
    async openLog(app: App, { instance: _, ...query }: LogQuery, signal: AbortSignal, of?: LogSource): Promise<Answer> {
      const node = of === undefined ? await nodeOf(app) : await nodeWith(of.node, `the log of ${of.instance}`)
      const params = { instance: of?.instance ?? instanceId(app.name) }
      const asked = { ...query, follow: query.follow ? ('true' as const) : ('false' as const) }
      return (await reached(node)).raw('instanceLogs', { params, query: asked, signal })
    },

    /** Builds or takes an image on the node where the app runs, or would run; see `buildImage`. */
    async makeImage(
      call: 'buildImage' | 'loadImage',
      of: App | AppName,
      query: Readonly<Record<string, string>>,
      content: IncomingMessage,
      response: ServerResponse,
      signal: AbortSignal,
    ): Promise<void> {
      const node = typeof of === 'string' ? await nodeForNew(of) : await nodeOf(of)
      const client = await reached(node)
      // A refusal must still reach the client, so a reader that stops early must not destroy the request.
      const body = content.iterator({ destroyOnReturn: false })
      const app = typeof of === 'string' ? of : of.name
      // Every node shall be able to run the image.
      const headers = isAlone ? {} : { [PERMIT_HEADER]: permits.forPush(app, node.name) }
      const answer = await client.raw(call, { params: { app }, query, headers, content: body, signal } as never)
      await passOn(answer, response, 'application/x-ndjson', signal)
    },
    /** Joins the streams of a session with the node of the app; see `joinSession`. */
    session(app: App, query: SessionQuery, call: SessionCall): Promise<void> {
      const wake = () => this.wake(app, call.signal)
      return joinSession({ awakeOf, nodeOf, reached, headers: about(app).headers, wake }, app, query, call)
    },
    /** Opens a session on the node of the app, for the SSH server; see `openSession`. */
    openSession(app: App, query: SessionQuery, content: AsyncIterable<Uint8Array>, signal: AbortSignal) {
      const wake = () => this.wake(app, signal)
      return openSession({ awakeOf, nodeOf, reached, headers: about(app).headers, wake }, app, query, content, signal)
    },

    /** Streams the bytes of a volume from the node that has it. */
    async volumeImage(app: App, from: NodeName, response: ServerResponse, signal: AbortSignal) {
      const volume = app.task.volume?.id as VolumeId
      const client = await reached(await nodeWith(from, `the volume ${volume}`))
      const { headers } = about(app)
      const answer = await client.raw('sendVolume', { params: { volume }, query: { app: app.name }, headers, signal })
      await passOn(answer, response, 'application/octet-stream', signal)
    },
    /** Has the node copy a volume and take it over; see `moveApp`. */
    receiveVolume: async (to: ControlledNode, volume: VolumeId, body: ReceivedBody, signal: AbortSignal) =>
      (await reached(to)).call('receiveVolume', { params: { volume }, body, signal }),
    /** Streams a copy of the app's volume from the node that has it, or can attach it. */
    async exportVolume(app: App, response: ServerResponse, signal: AbortSignal) {
      const volume = app.task.volume?.id as VolumeId
      const client = await reached(await nodeOf(app))
      const { headers } = about(app)
      const answer = await client.raw('exportVolume', { params: { volume }, query: { app: app.name }, headers, signal })
      for (const name of ['x-shadow-length', 'x-shadow-size']) {
        const value = answer.headers[name]
        if (value !== undefined) response.setHeader(name, value)
      }
      await passOn(answer, response, 'application/octet-stream', signal)
    },
    /** Streams the image of a volume to the node that shall have it. */
    async importVolume(
      to: ControlledNode,
      volume: VolumeId,
      query: ImportedQuery,
      content: IncomingMessage,
      signal: AbortSignal,
    ) {
      const client = await reached(to)
      // A refusal must still reach the client, so a reader that stops early must not destroy the request.
      const body = content.iterator({ destroyOnReturn: false })
      await client.raw('importVolume', { params: { volume }, query, content: body, signal })
    },
    /** Where a volume without an app may be made: the node that a front would choose for its app. */
    async nodeForVolume(id: VolumeId, driver: VolumeDriver): Promise<ControlledNode> {
      const asked = await askAll(16)
      const needs = { volume: { node: null, isLocal: false, driver } }
      const { node, rejected } = place(id as string as AppName, needs, asked.map(asCandidate), {})
      if (node !== undefined) return node
      throw new ShadowError('no-node', `no node can take the volume ${id}: ${sayRejected(rejected)}`, {
        hint: 'shadow node ls',
      })
    },
    /** The node that has the volume of the app, or would get it, and how to call it about the app. Fails with `node-unreachable`. */
    async atVolume(app: App) {
      const node = await nodeOf(app)
      return { node: node.name, client: await reached(node), headers: about(app).headers }
    },
    /** A client of the node; undefined if the node was removed. Fails with `node-unreachable`. */
    async nodeClient(name: NodeName): Promise<NodeClient | undefined> {
      const node = await nodes.find(name)
      return node && reached(node)
    },
    /** A node that reaches what the driver has of the volume, which may be gone. */
    async nodeWithDriver(driver: VolumeDriver, id: VolumeId): Promise<NodeName> {
      const volume = await volumes
        .get(id)
        .catch(error => (isFailure(error, 'not-found') ? undefined : Promise.reject(error)))
      return withDriver(driver, (await volumes.placesOf(id)) ?? [], { id, zone: volume?.zone })
    },
    /** How far the move of a volume from this node is; null if it sends none. Fails with `node-unreachable`. */
    async moveFrom(name: NodeName, volume: VolumeId): Promise<MoveProgress | null> {
      const client = clientOf(await nodeWith(name, `the volume ${volume}`))
      return (await client.call('getVolumeMove', { params: { volume } })).move
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
     * `node-unreachable`, and with `volume-in-use` where a node knows that an app has the volume that was registered after `of`.
     * A node that has given up its lease of a loop volume still has the data. A node that was removed from the records after that does not.
     * The data of a volume of another driver can be reached from all nodes with that driver: one of them deletes it.
     */
    async eraseVolume(id: VolumeId, { app, of: createdAt }: Erased, signal: AbortSignal): Promise<void> {
      const volume = await volumes.get(id)
      const { driver } = volume
      const lease = await volumes.leaseOf(id)
      const had = (await volumes.placesOf(id)) ?? (await nodes.list()).map(({ name }) => name)
      const places =
        driver !== undefined && had.length > 0 ? [lease?.node ?? (await withDriver(driver, had, volume))] : had
      const query = { createdAt, ...(app && { app }), ...(driver && { driver }) }
      for (const place of places) {
        const node = place === lease?.node ? await nodeWith(place, `the volume ${id}`) : await nodes.find(place)
        if (node === undefined) continue
        const client = await reached(node)
        if (app !== null) await gone(client.call('forgetApp', { params: { app }, query: { createdAt }, signal }))
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

const noControl = (node: NodeName): ShadowError =>
  new ShadowError('node-unreachable', `the node ${node} has not sent its control key yet`, {
    hint: 'a node of this version of Shadow sends it within seconds',
    retryAfterMs: NODE_ANNOUNCES_EVERY,
  })
