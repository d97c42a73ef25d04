import { RETRY_AFTER_MS } from '../api/delivery.ts'
import { orAborted, pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Node } from '../model/app.ts'
import { instanceId } from '../model/instance-id.ts'
import type { AppName } from '../model/names.ts'
import { type Candidate, place, sayRejected } from '../model/placement.ts'
import type { Route } from '../model/route.ts'
import type { Nodes } from './nodes.ts'
import type { Pins } from './pins.ts'

type Parts = {
  readonly pins: Pick<Pins, 'get'>
  readonly nodes: Pick<Nodes, 'all' | 'get' | 'mayComeBack' | 'refresh'>
  readonly clock: Clock
}

/** The node that the app is pinned to, if it is healthy. */
export function healthyPinned(parts: Omit<Parts, 'clock'>, app: AppName): Node | undefined {
  const pinned = pinnedOf(parts, app)
  return pinned?.healthy ? pinned.node : undefined
}

/**
 * The pinned node if it is healthy, else the one that placement chooses. Waits while a node may come back. If there is none, the answer is
 * the node that has the app, so that the request fails with the error of that node; else it fails with `no-node`.
 */
export async function nodeOf(parts: Parts, app: Route, signal: AbortSignal): Promise<Node> {
  const { nodes, clock } = parts
  const pinned = pinnedOf(parts, app.name)
  if (pinned?.healthy) return pinned.node
  const first = place(app.name, app.needs, nodes.all).node
  if (first !== undefined) return first
  for (;;) {
    await orAborted(nodes.refresh(), signal) // a first node may have come since the list was made
    const { node, rejected } = place(app.name, app.needs, nodes.all)
    const found = node ?? pinned?.node ?? homeOf(parts, app)
    if (found !== undefined) return found
    if (!nodes.all.some(one => nodes.mayComeBack(one.node.name))) {
      const why = rejected.length === 0 ? '' : `: ${sayRejected(rejected)}`
      throw new ShadowError('no-node', `no node can take ${app.name}${why}`, {
        hint: 'shadow node ls',
        retryAfterMs: 2_000,
      })
    }
    await pause(clock, RETRY_AFTER_MS, signal)
  }
}

function pinnedOf({ pins, nodes }: Omit<Parts, 'clock'>, app: AppName): Candidate<Node> | undefined {
  const pin = pins.get(instanceId(app))
  return pin === undefined ? undefined : nodes.get(pin)
}

/** The node whose disk has the volume of the app, whatever its health. */
function homeOf({ nodes }: Parts, { needs: { volume } }: Route): Node | undefined {
  return volume?.isLocal && volume.node !== null ? nodes.get(volume.node)?.node : undefined
}
