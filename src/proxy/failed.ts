import { STATE_HEADER } from '../api/paths.ts'
import { appUnreachable } from '../api/traffic.ts'
import { fromProblem, isFailure, ShadowError } from '../lib/errors.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import { Refusal, UpstreamError } from '../lib/http/upstream-target.ts'
import type { Node } from '../model/app.ts'
import type { Held } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { type Candidate, place } from '../model/placement.ts'
import type { Nodes } from './nodes.ts'
import type { Pins } from './pins.ts'

/** A try that did not serve the request; without `held` the app was not even held awake for it. */
export type Failed = { readonly node: Node; readonly held: Held | undefined; readonly error: unknown }

type Parts = {
  readonly pins: Pick<Pins, 'get' | 'set'>
  readonly nodes: Pick<Nodes, 'all' | 'get' | 'failed' | 'mayComeBack'>
}

/** Whether the app saw nothing of the request, and another try has a better chance; what was learned for it is kept. Fails as `Held.refused` and `Held.alive` do. */
export async function mayTryAgain(
  { pins, nodes }: Parts,
  app: AppName,
  { node, held, error }: Failed,
): Promise<boolean> {
  // What ended the app with the request in hand is what the visitor hears of.
  if (error instanceof UpstreamError && error.sent && !error.isRefused) await held?.alive?.()
  if (error instanceof UpstreamError && !error.sent) {
    await held?.refused?.()
    if (held?.isHop !== true) return true
    nodes.failed(node.name)
    return place(app, nodes.all) !== undefined
  }
  const failure = error instanceof Refusal && !error.sent ? problemOf(error) : error
  if (held?.isHop && isFailure(failure, 'shutting-down')) {
    nodes.failed(node.name)
    return place(app, nodes.all) !== undefined
  }
  if (isFailure(failure, 'master-unreachable')) return pinnedElsewhere({ pins, nodes }, app, node)?.healthy === true
  if (!isFailure(failure, 'volume-elsewhere')) return false
  const home = nodes.get(homeOf(failure))
  if (home === undefined || !home.healthy) return false
  pins.set(instanceId(app), home.node.name)
  return true
}

/** Whether the request, seen by nobody, can be served once the one node that can take it is back, which was there a moment ago. */
export function isAwaited({ pins, nodes }: Parts, app: AppName, { node, held, error }: Failed): boolean {
  if (held?.isHop !== true || !(error instanceof UpstreamError || error instanceof Refusal) || error.sent) return false
  const failure = error instanceof Refusal ? problemOf(error) : error
  if (isFailure(failure, 'volume-elsewhere')) return nodes.mayComeBack(homeOf(failure))
  if (isFailure(failure, 'master-unreachable')) {
    const pinned = pinnedElsewhere({ pins, nodes }, app, node)
    return pinned !== undefined && nodes.mayComeBack(pinned.node.name)
  }
  return (failure === error || isFailure(failure, 'shutting-down')) && nodes.mayComeBack(node.name)
}

/** The node that has served the app, where it is not this one, which knows nothing of it and cannot ask. */
function pinnedElsewhere({ pins, nodes }: Parts, app: AppName, { name }: Node): Candidate<Node> | undefined {
  const pin = pins.get(instanceId(app))
  return pin === undefined || pin === name ? undefined : nodes.get(pin)
}

/** The error for the visitor: it tells the app's fault from the node's. */
export function told(app: AppName, { node, held, error }: Failed, exchange: Exchange): unknown {
  const failure = error instanceof Refusal ? problemOf(error) : error
  if (error instanceof Refusal) exchange.ownHeaders[STATE_HEADER] = String(error.headers[STATE_HEADER] ?? 'unknown')
  if (isFailure(failure, 'volume-elsewhere')) return nodeUnreachable(app, homeOf(failure), failure)
  if (!(error instanceof UpstreamError)) return failure
  return held?.isHop ? nodeUnreachable(app, node.name, error) : appUnreachable(app, error)
}

const homeOf = (error: ShadowError): NodeName => String(error.details.facts?.['node'] ?? '') as NodeName

const nodeUnreachable = (app: AppName, node: NodeName, cause: Error): ShadowError =>
  new ShadowError('node-unreachable', `node ${node}, which has ${app}, does not answer`, {
    cause,
    hint: 'shadow node ls',
    retryAfterMs: 2_000,
  })

function problemOf({ status, body }: Refusal): ShadowError {
  let problem: unknown
  try {
    problem = JSON.parse(body)
  } catch {
    // told of by its status
  }
  return fromProblem(problem) ?? new ShadowError('internal', `the node refused with ${status}: ${body.slice(0, 200)}`)
}
