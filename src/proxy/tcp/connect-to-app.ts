import type { Duplex } from 'node:stream'
import { isFailure, type ShadowError } from '../../lib/errors.ts'
import type { Node } from '../../model/app.ts'
import { instanceId } from '../../model/instance-id.ts'
import type { NodeName } from '../../model/names.ts'
import { place } from '../../model/placement.ts'
import type { Route } from '../../model/route.ts'
import { mayGoElsewhere } from '../failover.ts'
import type { FrontParts } from '../front-parts.ts'
import { nodeOf, usablePinned } from '../node-choice.ts'
import type { ConnectionAsked, NodeConnector } from '../node-connector.ts'

export type ConnectParts = Pick<FrontParts, 'pins' | 'nodes' | 'clock'> & {
  readonly connector: Pick<NodeConnector, 'connect'>
}

const MOST_TRIES = 10

/** Connects to a port of the app on the node that has it or can take it; tries another node as a request would. Fails as a request does. */
export async function connectToApp(
  parts: ConnectParts,
  route: Route,
  asked: ConnectionAsked,
  signal: AbortSignal,
): Promise<Duplex> {
  const { pins, connector } = parts
  const instance = instanceId(route.name)
  const refusedBy = new Map<NodeName, ShadowError>()
  for (let tries = 1; ; tries++) {
    const pinned = usablePinned(parts, route)
    const node =
      pinned === undefined || refusedBy.has(pinned.name) ? await nodeOf(parts, route, signal, refusedBy) : pinned
    try {
      const stream = await connector.connect(route, { instance, node }, asked, signal)
      pins.set(instance, node.name)
      return stream
    } catch (error) {
      signal.throwIfAborted()
      if (tries >= MOST_TRIES || !mayTryAgain(parts, route, node, error, refusedBy)) throw error
    }
  }
}

function mayTryAgain(
  parts: ConnectParts,
  route: Route,
  target: Node,
  error: unknown,
  refusedBy: Map<NodeName, ShadowError>,
): boolean {
  if (!isFailure(error, 'node-unreachable', 'shutting-down'))
    return mayGoElsewhere(parts, route, { target, held: undefined, error }, refusedBy)
  // No byte has been passed on, so another node may take the connection, or this one once it is back.
  parts.nodes.failed(target.name)
  return place(route.name, route.needs, parts.nodes.all).node !== undefined || parts.nodes.mayComeBack(target.name)
}
