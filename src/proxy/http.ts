import { ERROR_HEADER, HOP_EXPECT, STATE_HEADER } from '../api/paths.ts'
import { appUnreachable, OURS, RequestAsk, servedBy, TRIES } from '../api/traffic.ts'
import { orAborted, pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { fromProblem, isFailure, ShadowError } from '../lib/errors.ts'
import type { Exchange, Journey } from '../lib/http/exchange.ts'
import { type Hop, Refusal, UpstreamError } from '../lib/http/hop.ts'
import { byHandler } from '../lib/http/server.ts'
import type { Leaver } from '../lib/leaver.ts'
import type { Log } from '../lib/log.ts'
import type { App, Node } from '../model/app.ts'
import { hostOf } from '../model/hostname.ts'
import type { Held } from '../model/instance.ts'
import { NODE_BACK_WITHIN } from '../model/intervals.ts'
import type { AppName, NodeName } from '../model/names.ts'
import type { Guard } from './access.ts'
import { answerError } from './errors.ts'
import { EVENTS_PATH, followWake } from './events.ts'
import type { Nodes } from './nodes.ts'
import type { Pins } from './pins.ts'
import { place } from './placement.ts'
import type { Reach } from './reach.ts'
import type { Routes } from './routes.ts'
import { clientOf, isNavigation, type TrustedProxies } from './visitor.ts'

export type FrontParts = {
  readonly routes: Pick<Routes, 'resolve'>
  readonly pins: Pick<Pins, 'get' | 'set'>
  readonly nodes: Pick<Nodes, 'all' | 'get' | 'failed' | 'mayComeBack' | 'refresh'>
  readonly reach: Pick<Reach, 'hold' | 'follow'>
  readonly guard: Guard
  readonly trusted: TrustedProxies
  readonly waitingPageAfterMs: number
  readonly clock: Clock
  readonly log: Log
  /** Aborts when streams must end because the front does. */
  readonly ending: AbortSignal
}

const LOOK_AGAIN_MS = 100

/** The front's door: each request to the app that its Host names. */
export function frontDoor(parts: FrontParts): Journey {
  return exchange => {
    try {
      return serve(parts, exchange)
    } catch (error) {
      return failed(parts, exchange, error)
    }
  }
}

async function failed(parts: FrontParts, exchange: Exchange, error: unknown): Promise<void> {
  if (exchange.answered || exchange.signal.aborted) throw error
  answerError(exchange, error, parts.log)
}

// No async function on the way of a request for an app that is awake: to suspend one costs as much as to read a head.
function serve(parts: FrontParts, exchange: Exchange): Promise<void> {
  const hostname = hostOf(exchange.host)
  if (hostname === undefined) throw noHost(exchange)
  const app = parts.routes.resolve(hostname, exchange)
  if (!(app instanceof Promise)) return serveApp(parts, exchange, app)
  return app.then(found => serveApp(parts, exchange, found)).catch(error => failed(parts, exchange, error))
}

function serveApp(parts: FrontParts, exchange: Exchange, app: App): Promise<void> {
  const { reach, guard, trusted, waitingPageAfterMs } = parts
  if (app.access !== undefined) guard.admit(app.name, app.access, clientOf(exchange, trusted))
  if (exchange.target === EVENTS_PATH) return follow(parts, app, exchange)
  const isProxy = trusted.has(exchange.peer)
  const ask = new RequestAsk(
    exchange,
    isProxy ? () => clientOf(exchange, trusted) : undefined,
    isNavigation(exchange) ? waitingPageAfterMs : undefined,
  )
  // A WebSocket may stay for days: it has to end when the front does.
  const leaver: Leaver =
    ask.kind === 'websocket' ? { signal: AbortSignal.any([exchange.signal, parts.ending]) } : exchange
  const visit = { parts, exchange, app, isProxy, ask, leaver }
  const node = wellPinned(parts, app)
  if (node === undefined) return persist(visit)
  const held = reach.hold(app, node, ask, leaver)
  if (held instanceof Promise) return persist(visit, { node, holding: held })
  return pass(visit, node, held).then(
    () => held[Symbol.dispose](),
    error => {
      held[Symbol.dispose]()
      return persist(visit, { node, held, error })
    },
  )
}

/** A request on its way to its app. */
type Visit = {
  readonly parts: FrontParts
  readonly exchange: Exchange
  readonly app: App
  readonly isProxy: boolean
  readonly ask: RequestAsk
  readonly leaver: Leaver
}

/** What was tried already: a hold that is waited for, or a way that failed. */
type Tried = { readonly node: Node } & (
  | { readonly holding: Promise<Held> }
  | { readonly held: Held | undefined; readonly error: unknown }
)

function pass({ parts, exchange, app, isProxy, ask, leaver }: Visit, node: Node, held: Held): Promise<void> {
  parts.pins.set(app.name, node.name)
  const hop = hopOf({ exchange, held, node, isProxy, ask })
  return exchange.forward(hop, leaver === exchange ? undefined : leaver.signal)
}

/** Serves what cannot be served at once: waits, and tries again as long as nobody has seen the request. */
async function persist(visit: Visit, tried?: Tried): Promise<void> {
  const { parts, exchange, app, ask, leaver } = visit
  try {
    const givesUpAt = parts.clock.now() + NODE_BACK_WITHIN
    let last = tried !== undefined && 'error' in tried ? tried : undefined
    let begun = tried !== undefined && 'holding' in tried ? tried : undefined
    for (let left = last === undefined ? TRIES : TRIES - 1; ; left--) {
      if (last !== undefined && !(left > 0 && (await mayTryAgain(parts, { app: app.name, ...last })))) {
        if (!isAwaited(parts, last) || parts.clock.now() >= givesUpAt) throw told({ app: app.name, ...last }, exchange)
        await pause(parts.clock, LOOK_AGAIN_MS, leaver.signal)
        left = TRIES
      }
      const node = begun?.node ?? (await nodeOf(parts, app, leaver.signal))
      const holding = begun?.holding
      begun = undefined
      let held: Held | undefined
      try {
        using way = await (holding ?? parts.reach.hold(app, node, ask, leaver))
        held = way
        return await pass(visit, node, way)
      } catch (error) {
        last = { node, held, error }
      }
    }
  } catch (error) {
    await failed(parts, exchange, error)
  }
}

async function follow(parts: FrontParts, app: App, exchange: Exchange): Promise<void> {
  const node = await nodeOf(parts, app, exchange.signal)
  await byHandler(
    exchange,
    (_request, response, gone) => followWake(parts.reach, app, node, response, AbortSignal.any([gone, parts.ending])),
    parts.log,
  )
}

function wellPinned({ pins, nodes }: FrontParts, { name }: App): Node | undefined {
  const pin = pins.get(name)
  const pinned = pin === undefined ? undefined : nodes.get(pin)
  return pinned?.healthy ? pinned.node : undefined
}

/** The pinned node if it is well; else another, chosen by the app's name; waited for while one may come back. */
async function nodeOf(parts: FrontParts, app: App, signal: AbortSignal): Promise<Node> {
  const { pins, nodes, clock } = parts
  const { name } = app
  const well = wellPinned(parts, app)
  if (well !== undefined) return well
  const pin = pins.get(name)
  const pinned = pin === undefined ? undefined : nodes.get(pin)
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

type Way = Pick<Visit, 'exchange' | 'isProxy' | 'ask'> & { readonly held: Held; readonly node: Node }

function hopOf({ exchange, held, node, isProxy, ask }: Way): Hop {
  // Until the node goes on, the body stays with the client; so a node that refuses costs nothing but a second try.
  const asks =
    held.isHop === true && exchange.hasBody && ask.kind === 'request' && exchange.header('expect') === undefined
  return {
    address: held.address,
    strip: OURS,
    forwarded: isProxy ? 'append' : 'replace',
    expect: asks ? 'ask' : 'pass',
    requestHeaders: asks ? { ...held.headers, [HOP_EXPECT]: 'hop' } : held.headers,
    responseHeaders: servedBy(node.name, held.waited),
    refusal: held.isHop ? isOurs : undefined,
  }
}

const isOurs: Hop['refusal'] = headers => headers[ERROR_HEADER] !== undefined

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
function isAwaited({ nodes }: FrontParts, { node, held, error }: Omit<Failed, 'app'>): boolean {
  if (held?.isHop !== true || !(error instanceof UpstreamError || error instanceof Refusal) || error.sent) return false
  const failure = error instanceof Refusal ? problemOf(error) : error
  if (isFailure(failure, 'volume-elsewhere')) return nodes.mayComeBack(homeOf(failure))
  return (failure === error || isFailure(failure, 'shutting-down')) && nodes.mayComeBack(node.name)
}

/** The error for the visitor: it tells the app's fault from the node's. */
function told({ app, node, held, error }: Failed, exchange: Exchange): unknown {
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

const noHost = ({ host = '' }: Exchange): ShadowError =>
  new ShadowError('host-unknown', `no app has the hostname ${JSON.stringify(host)}`)
