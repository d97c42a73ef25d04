import { type NodeClient, nodeClient } from '../api/client.ts'
import { endpointOf } from '../api/node-endpoint.ts'
import { PERMIT_HEADER } from '../api/paths.ts'
import { ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Credentials } from '../lib/tls/credentials.ts'
import type { App, Volume } from '../model/app.ts'
import { type InstanceView, isRunning } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import { MASTER_CALL_WITHIN, NODE_ANNOUNCES_EVERY } from '../model/intervals.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { servesApps } from '../model/node-state.ts'
import {
  type Candidate,
  canAttach,
  hintOfRejected,
  isInZone,
  isOverloaded,
  place,
  sayRejected,
} from '../model/placement.ts'
import { HAS_DRIVER, type VolumeDriver } from '../model/task.ts'
import { volumeLost } from '../model/volume-lost.ts'
import type { AppCompanions } from './companions.ts'
import type { ControlledNode, Nodes } from './nodes.ts'
import type { Permits } from './permits.ts'

export type ChoiceParts = {
  readonly nodes: Nodes
  readonly companions: Pick<AppCompanions, 'placementOf'>
  readonly permits: Permits
  /** What this master shows to nodes; undefined where there is no cluster. */
  readonly credentials: Credentials | undefined
}
export type NodeChoice = ReturnType<typeof nodeChoice>

/** Finds the nodes that a call of the master goes to, and the clients for them. */
export function nodeChoice({ nodes, companions, permits, credentials }: ChoiceParts) {
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

  return { about, clientOf, reached, askAll, awakeOf, nodeWith, nodeOf, nodeForNew, withDriver }
}

const NONE: ReadonlySet<NodeName> = new Set()

/** A node that was asked for its instances; undefined if it did not answer. */
type Asked = { readonly node: ControlledNode; readonly instances: readonly InstanceView[] | undefined }

export const asCandidate = ({ node, instances }: Asked): Candidate<ControlledNode> => ({
  node,
  healthy: instances !== undefined && servesApps(node.state),
  overloaded: isOverloaded(node),
})

const noControl = (node: NodeName): ShadowError =>
  new ShadowError('node-unreachable', `the node ${node} has not sent its control key yet`, {
    hint: 'a node of this version of Shadow sends it within seconds',
    retryAfterMs: NODE_ANNOUNCES_EVERY,
  })
