import { RETRY_AFTER_MS } from '../api/delivery.ts'
import { orAborted, pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Node } from '../model/app.ts'
import { instanceId } from '../model/instance-id.ts'
import type { AppName } from '../model/names.ts'
import { type Candidate, place } from '../model/placement.ts'
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

/** The pinned node if it is healthy, else another, placed by the app's name. Waits while a node may come back; fails with `no-node`. */
export async function nodeOf(parts: Parts, app: AppName, signal: AbortSignal): Promise<Node> {
  const { nodes, clock } = parts
  const pinned = pinnedOf(parts, app)
  const chosen = pinned?.healthy ? pinned.node : place(app, nodes.all)
  if (chosen !== undefined) return chosen
  for (;;) {
    await orAborted(nodes.refresh(), signal) // a first node may have come since the list was made
    const found = place(app, nodes.all) ?? pinned?.node
    if (found !== undefined) return found
    if (!nodes.all.some(({ node }) => nodes.mayComeBack(node.name))) break
    await pause(clock, RETRY_AFTER_MS, signal)
  }
  throw new ShadowError('no-node', `no healthy node can take ${app}`, { hint: 'shadow node ls', retryAfterMs: 2_000 })
}

function pinnedOf({ pins, nodes }: Omit<Parts, 'clock'>, app: AppName): Candidate<Node> | undefined {
  const pin = pins.get(instanceId(app))
  return pin === undefined ? undefined : nodes.get(pin)
}
