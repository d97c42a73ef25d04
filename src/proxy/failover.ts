import type { Failed } from '../api/delivery.ts'
import { appUnreachable } from '../api/forwarding.ts'
import { STATE_HEADER } from '../api/paths.ts'
import { fromProblem, isFailure, ShadowError } from '../lib/errors.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import { Refusal, UpstreamError } from '../lib/http/next-hop.ts'
import type { Node } from '../model/app.ts'
import { instanceId } from '../model/instance-id.ts'
import { NODE_BACK_WITHIN } from '../model/intervals.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { type Candidate, place, REFUSES_WAKE } from '../model/placement.ts'
import { sayMs } from '../model/quantities.ts'
import type { Route } from '../model/route.ts'
import type { Nodes } from './nodes.ts'
import type { Pins } from './pins.ts'

/** Nodes that have refused to wake the app for one request, with their errors. */
export type RefusedBy = Map<NodeName, ShadowError>

/** When so many nodes have no room, the request is refused. */
const MOST_FULL = 2

type Parts = {
  readonly pins: Pick<Pins, 'get' | 'set'>
  readonly nodes: Pick<Nodes, 'all' | 'get' | 'failed' | 'mayComeBack'>
}

/**
 * Whether another node may serve a request that no app has seen. Also records what the failure says about nodes: a node that does not answer
 * is marked as failed, a node that has the volume becomes the pin, and `refusedBy` gets nodes that take the app no more or have no room.
 */
export function mayGoElsewhere(
  { pins, nodes }: Parts,
  app: Route,
  { target, held, error }: Failed<Node>,
  refusedBy: RefusedBy,
): boolean {
  const failure = error instanceof Refusal ? problemOf(error) : error
  if (isFailure(failure, ...REFUSES_WAKE)) {
    refusedBy.set(target.name, failure)
    const full = [...refusedBy.values()].filter(({ code }) => code !== 'node-cordoned' && code !== 'unauthorised')
    if (full.length >= MOST_FULL) return false
    if (place(app.name, app.needs, nodes.all, { without: refusedBy }).node !== undefined) return true
    // The list of this front may be older than the cordon: the next choice asks for it, once.
    const { volume } = app.needs
    return refusedBy.size === 1 && failure.code === 'node-cordoned' && !(volume?.isLocal && volume.node === target.name)
  }
  if (error instanceof UpstreamError || (held?.isHop && isFailure(failure, 'shutting-down'))) {
    nodes.failed(target.name)
    return place(app.name, app.needs, nodes.all).node !== undefined
  }
  if (isFailure(failure, 'master-unreachable'))
    return pinnedElsewhere({ pins, nodes }, app.name, target)?.healthy === true
  if (!isFailure(failure, 'volume-elsewhere')) return false
  const home = nodes.get(homeOf(failure))
  if (home === undefined || !home.healthy || refusedBy.has(home.node.name)) return false
  pins.set(instanceId(app.name), home.node.name)
  return true
}

/**
 * Whether the only node that can take a request, which no app has seen, was there a moment ago and so may come back; or another node can
 * take it soon, once the lease of its volume has ended.
 */
export function mayComeBack({ pins, nodes }: Parts, app: AppName, { target, held, error }: Failed<Node>): boolean {
  if (held?.isHop !== true || !(error instanceof UpstreamError || error instanceof Refusal)) return false
  const failure = error instanceof Refusal ? problemOf(error) : error
  if (isFailure(failure, 'volume-elsewhere'))
    return nodes.mayComeBack(homeOf(failure)) || (leaseEndsMs(failure) ?? Number.POSITIVE_INFINITY) < NODE_BACK_WITHIN
  if (isFailure(failure, 'master-unreachable')) {
    const pinned = pinnedElsewhere({ pins, nodes }, app, target)
    return pinned !== undefined && nodes.mayComeBack(pinned.node.name)
  }
  return (failure === error || isFailure(failure, 'shutting-down')) && nodes.mayComeBack(target.name)
}

/** The pinned node, unless it is this one. This one does not know the app and cannot ask the master. */
function pinnedElsewhere({ pins, nodes }: Parts, app: AppName, { name }: Node): Candidate<Node> | undefined {
  const pin = pins.get(instanceId(app))
  return pin === undefined || pin === name ? undefined : nodes.get(pin)
}

/** The error for the client. It distinguishes a fault of the app from a fault of its node. */
export function errorFor(
  app: AppName,
  { target, held, error }: Failed<Node>,
  exchange: Exchange,
  refusedBy: RefusedBy,
): unknown {
  const failure = error instanceof Refusal ? problemOf(error) : error
  if (error instanceof Refusal) exchange.ownHeaders[STATE_HEADER] = String(error.headers[STATE_HEADER] ?? 'unknown')
  if (isFailure(failure, 'volume-elsewhere')) {
    const home = homeOf(failure)
    return refusedBy.get(home) ?? nodeUnreachable(app, home, failure, leaseEndsMs(failure))
  }
  if (!(error instanceof UpstreamError)) return failure
  return held?.isHop ? nodeUnreachable(app, target.name, error) : appUnreachable(app, error)
}

const homeOf = (error: ShadowError): NodeName => String(error.details.facts?.['node'] ?? '') as NodeName

/** In how many milliseconds another node can take the volume over; undefined if its lease does not expire. */
const leaseEndsMs = (error: ShadowError): number | undefined => {
  const ms = error.details.facts?.['leaseEndsMs']
  return typeof ms === 'number' ? ms : undefined
}

/** The error of requests under way at a node that answers no check any more. The app may have seen them. */
export const nodeSilent = (node: NodeName): ShadowError =>
  new ShadowError('node-unreachable', `node ${node} has had the request, and does not answer any more`, {
    hint: 'shadow node ls',
    retryAfterMs: 2_000,
  })

function nodeUnreachable(app: AppName, node: NodeName, cause: Error, takenOverInMs?: number): ShadowError {
  const wait = takenOverInMs === undefined ? '' : `; another node can take over in ${sayMs(takenOverInMs)}`
  return new ShadowError('node-unreachable', `node ${node}, which has ${app}, does not answer${wait}`, {
    cause,
    hint: 'shadow node ls',
    retryAfterMs: Math.max(takenOverInMs ?? 0, 2_000),
  })
}

export function problemOf({ status, body }: Refusal): ShadowError {
  let problem: unknown
  try {
    problem = JSON.parse(body)
  } catch {
    // the error below has the status
  }
  return fromProblem(problem) ?? new ShadowError('internal', `the node refused with ${status}: ${body.slice(0, 200)}`)
}
