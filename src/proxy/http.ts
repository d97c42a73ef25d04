import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { BlockList } from 'node:net'
import { ERROR_HEADER, HOP_EXPECT, NODE_HEADER, STATE_HEADER } from '../api/paths.ts'
import { appUnreachable, askOf, OURS, TRIES } from '../api/traffic.ts'
import { orAborted, pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { fromProblem, isFailure, ShadowError } from '../lib/errors.ts'
import { type Forwarder, type Hop, Refusal, UpstreamError } from '../lib/http/forward.ts'
import { serverTiming } from '../lib/http/server-timing.ts'
import { strictServer } from '../lib/http/strict.ts'
import type { Log } from '../lib/log.ts'
import type { App, Node } from '../model/app.ts'
import { hostOf } from '../model/hostname.ts'
import type { Ask, Held } from '../model/instance.ts'
import { NODE_BACK_WITHIN } from '../model/intervals.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { answerError } from './errors.ts'
import { EVENTS_PATH, followWake } from './events.ts'
import type { Nodes } from './nodes.ts'
import type { Pins } from './pins.ts'
import { place } from './placement.ts'
import type { Reach } from './reach.ts'
import type { Routes } from './routes.ts'
import { clientOf, isNavigation, isTrusted } from './visitor.ts'

export type FrontParts = {
  readonly routes: Routes
  readonly pins: Pins
  readonly nodes: Nodes
  readonly reach: Reach
  readonly forwarder: Forwarder
  readonly trusted: BlockList
  readonly waitingPageAfterMs: number
  readonly clock: Clock
  readonly log: Log
  /** Aborts when streams must end because the front does. */
  readonly ending: AbortSignal
}

const LOOK_AGAIN_MS = 100

/** The front's door: each request to the app that its Host names. */
export function frontDoor(parts: FrontParts): Server {
  return strictServer(
    async (request, response, signal) => {
      try {
        await serve(parts, request, response, signal)
      } catch (error) {
        if (signal.aborted || response.headersSent) throw error
        answerError(request, response, error, parts.log)
      }
    },
    { log: parts.log },
  )
}

async function serve(
  parts: FrontParts,
  request: IncomingMessage,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<void> {
  const { routes, reach, pins, waitingPageAfterMs } = parts
  const hostname = hostOf(request.headers.host)
  if (hostname === undefined) throw noHost(request)
  const app = await routes.resolve(hostname, gone)
  const isEvents = request.url === EVENTS_PATH
  if (isEvents)
    return followWake(reach, app, await nodeOf(parts, app, gone), response, AbortSignal.any([gone, parts.ending]))

  const isProxy = isTrusted(request, parts.trusted)
  const ask = askOf(request, clientOf(request, isProxy), isNavigation(request) ? waitingPageAfterMs : undefined)
  // A WebSocket may stay for days: it has to end when the front does.
  const signal = ask.kind === 'websocket' ? AbortSignal.any([gone, parts.ending]) : gone
  const givesUpAt = parts.clock.now() + NODE_BACK_WITHIN
  for (let left = TRIES; ; left--) {
    const node = await nodeOf(parts, app, signal)
    let held: Held | undefined
    try {
      using way = await reach.hold(app, node, ask, signal)
      held = way
      pins.set(app.name, node.name)
      return await parts.forwarder.forward(request, response, hopOf({ request, held, node, isProxy, ask }), signal)
    } catch (error) {
      const failed = { app: app.name, node, held, error }
      if (left > 1 && (await mayTryAgain(parts, failed))) continue
      if (!isAwaited(parts, failed) || parts.clock.now() >= givesUpAt) throw told(failed, response)
      await pause(parts.clock, LOOK_AGAIN_MS, signal)
      left = TRIES + 1
    }
  }
}

/** The pinned node if it is well; else another, chosen by the app's name; waited for while one may come back. */
async function nodeOf({ pins, nodes, clock }: FrontParts, { name }: App, signal: AbortSignal): Promise<Node> {
  const pin = pins.get(name)
  const pinned = pin === undefined ? undefined : nodes.get(pin)
  if (pinned?.healthy) return pinned.node
  const chosen = place(name, nodes.all)
  if (chosen !== undefined) return chosen
  for (;;) {
    await orAborted(nodes.refresh(), signal) // a first node may have come since the list was made
    const found = place(name, nodes.all) ?? pinned?.node
    if (found !== undefined) return found
    if (!nodes.all.some(({ node }) => nodes.mayComeBack(node.name))) break
    await pause(clock, LOOK_AGAIN_MS, signal)
  }
  throw new ShadowError('no-node', `no healthy node can take ${name}`, { hint: 'shadow node ls', retryAfterMs: 2_000 })
}

type Way = { request: IncomingMessage; held: Held; node: Node; isProxy: boolean; ask: Ask }

function hopOf({ request, held, node, isProxy, ask }: Way): Hop {
  // Until the node goes on, the body stays with the client; so a node that refuses costs nothing but a second try.
  const asks = held.isHop === true && request.headers.expect === undefined && ask.kind === 'request'
  const timing = held.waited && { 'server-timing': serverTiming(held.waited) }
  return {
    address: held.address,
    strip: OURS,
    forwarded: isProxy ? 'append' : 'replace',
    expect: asks ? 'ask' : 'pass',
    requestHeaders: asks ? { ...held.headers, [HOP_EXPECT]: 'hop' } : held.headers,
    responseHeaders: () => ({ [NODE_HEADER]: node.name, ...timing }),
    ...(held.isHop && { refusal: headers => headers[ERROR_HEADER] !== undefined }),
  }
}

type Failed = { app: AppName; node: Node; held: Held | undefined; error: unknown }

/** Whether the app saw nothing of the request, and another try has a better chance; what was learned for it is kept. */
async function mayTryAgain({ pins, nodes }: FrontParts, { app, node, held, error }: Failed): Promise<boolean> {
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
  if (!isFailure(failure, 'volume-elsewhere')) return false
  const home = nodes.get(homeOf(failure))
  if (home === undefined || !home.healthy) return false
  pins.set(app, home.node.name)
  return true
}

/** Whether the request, seen by nobody, can be served once the one node that can take it is back, which was there a moment ago. */
function isAwaited({ nodes }: FrontParts, { node, held, error }: Failed): boolean {
  if (held?.isHop !== true || !(error instanceof UpstreamError || error instanceof Refusal) || error.sent) return false
  const failure = error instanceof Refusal ? problemOf(error) : error
  if (isFailure(failure, 'volume-elsewhere')) return nodes.mayComeBack(homeOf(failure))
  return (failure === error || isFailure(failure, 'shutting-down')) && nodes.mayComeBack(node.name)
}

/** The error for the visitor: it tells the app's fault from the node's. */
function told({ app, node, held, error }: Failed, response: ServerResponse): unknown {
  const failure = error instanceof Refusal ? problemOf(error) : error
  if (error instanceof Refusal) response.setHeader(STATE_HEADER, error.headers[STATE_HEADER] ?? 'unknown')
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

const noHost = ({ headers }: IncomingMessage): ShadowError =>
  new ShadowError('host-unknown', `no app has the hostname ${JSON.stringify(headers.host ?? '')}`)
