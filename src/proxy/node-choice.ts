import { RETRY_AFTER_MS } from '../api/delivery.ts'
import { orAborted, pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Node } from '../model/app.ts'
import { instanceId } from '../model/instance-id.ts'
import type { NodeName } from '../model/names.ts'
import { type Candidate, canAttach, hintOfRejected, place, sayRejected } from '../model/placement.ts'
import type { Route } from '../model/route.ts'
import { volumeLost } from '../model/volume-lost.ts'
import type { Nodes } from './nodes.ts'
import type { Pins } from './pins.ts'

type Parts = {
  readonly pins: Pick<Pins, 'get'>
  readonly nodes: Pick<Nodes, 'all' | 'get' | 'mayComeBack' | 'refresh'>
  readonly clock: Clock
}

/** What is needed to find the pinned node. */
type Pinned = { readonly pins: Pick<Pins, 'get'>; readonly nodes: Pick<Nodes, 'get'> }

const NONE: ReadonlySet<NodeName> = new Set()

/** The node that the app is pinned to, if it is healthy and the app has no reason to leave it. */
export function usablePinned(parts: Pinned, app: Route): Node | undefined {
  const pinned = pinnedOf(parts, app)
  return pinned?.healthy && !leaves(pinned, app) ? pinned.node : undefined
}

/** Whether new requests go elsewhere while those in flight end: nothing but a volume binds an app to a node that drains. */
const leaves = ({ node }: Candidate<Node>, { hasVolume }: Route): boolean =>
  node.cordon?.drain !== undefined && !hasVolume

/**
 * The pinned node if it is healthy, else the one that placement chooses. Waits while a node may come back. If there is none, the answer is
 * the node that has the app, so that the request fails with the error of that node; else it fails with `no-node`.
 */
export async function nodeOf(
  parts: Parts,
  app: Route,
  signal: AbortSignal,
  without: Pick<ReadonlySet<NodeName>, 'has'> = NONE,
): Promise<Node> {
  const { nodes, clock } = parts
  const pin = pinnedOf(parts, app)
  const pinned = pin === undefined || without.has(pin.node.name) ? undefined : pin
  if (pinned?.healthy && !leaves(pinned, app)) return pinned.node
  const first = place(app.name, app.needs, nodes.all, { without }).node
  if (first !== undefined) return first
  if (pinned?.healthy) return pinned.node
  for (;;) {
    await orAborted(nodes.refresh(), signal) // a first node may have come since the list was made
    if (isLost(parts, app)) throw volumeLost(app.name, app.needs.volume?.node as NodeName)
    const { node, rejected } = place(app.name, app.needs, nodes.all, { without })
    const home = homeOf(parts, app)
    const found = node ?? pinned?.node ?? (home && without.has(home.name) ? undefined : home)
    if (found !== undefined) return found
    if (!nodes.all.some(one => nodes.mayComeBack(one.node.name))) {
      const why = rejected.length === 0 ? '' : `: ${sayRejected(rejected)}`
      throw new ShadowError('no-node', `no node can take ${app.name}${why}`, {
        hint: hintOfRejected(rejected, app.needs.volume?.zone),
        retryAfterMs: 2_000,
      })
    }
    await pause(clock, RETRY_AFTER_MS, signal)
  }
}

function pinnedOf({ pins, nodes }: Pinned, { name, needs }: Route): Candidate<Node> | undefined {
  const pin = pins.get(instanceId(name))
  const pinned = pin === undefined ? undefined : nodes.get(pin)
  return pinned !== undefined && canAttach(pinned.node, needs.volume) ? pinned : undefined
}

/** Whether the node whose disk has the volume was removed as lost, and is not back. */
const isLost = (parts: Parts, app: Route): boolean =>
  app.needs.volume?.isLost === true && homeOf(parts, app) === undefined

/** The node whose disk has the volume of the app, whatever its health. */
function homeOf({ nodes }: Parts, { needs: { volume } }: Route): Node | undefined {
  return volume?.isLocal && volume.node !== null ? nodes.get(volume.node)?.node : undefined
}
