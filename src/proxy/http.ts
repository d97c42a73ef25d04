import { noteBadAnswer, RequestAsk, TRIES } from '../api/traffic.ts'
import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { byHandler } from '../lib/http/api/request-handler.ts'
import type { Exchange, Journey } from '../lib/http/exchange.ts'
import { Refusal } from '../lib/http/upstream-target.ts'
import type { Leaver } from '../lib/leaver.ts'
import type { Log } from '../lib/log.ts'
import type { Places } from '../lib/places.ts'
import type { Node } from '../model/app.ts'
import { hostOf } from '../model/hostname.ts'
import type { Held } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import { NODE_BACK_WITHIN } from '../model/intervals.ts'
import type { Route } from '../model/route.ts'
import type { Guard } from './access.ts'
import { type AppBounds, type Bounds, placesFor } from './bounds.ts'
import { LOOK_AGAIN_MS, nodeOf, wellPinned } from './choice.ts'
import type { Errors } from './errors.ts'
import { EVENTS_PATH, followWake } from './events.ts'
import { type Failed, isAwaited, mayTryAgain, told } from './failed.ts'
import { hopOf } from './hop.ts'
import { HSTS_HEADER, type Https } from './https.ts'
import type { Nodes } from './nodes.ts'
import type { Pins } from './pins.ts'
import type { Reach } from './reach.ts'
import type { Routes } from './routes.ts'
import { isNavigation, type TrustedProxies, visitorOf } from './visitor.ts'

export type FrontParts = {
  readonly routes: Pick<Routes, 'resolve'>
  readonly pins: Pick<Pins, 'get' | 'set'>
  readonly nodes: Pick<Nodes, 'all' | 'appNetworks' | 'get' | 'failed' | 'mayComeBack' | 'refresh'>
  readonly reach: Pick<Reach, 'hold' | 'follow'>
  readonly guard: Guard
  readonly bounds: Bounds
  readonly trusted: TrustedProxies
  readonly errors: Errors
  readonly https: Https
  readonly waitingPageAfterMs: number
  readonly clock: Clock
  readonly log: Log
  /** Aborts when streams must end because the front does. */
  readonly ending: AbortSignal
}

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
  parts.errors.answer(exchange, error)
}

// No async function on the way of a request for an app that is awake: to suspend one costs as much as to read a head.
function serve(parts: FrontParts, exchange: Exchange): Promise<void> {
  const hostname = hostOf(exchange.host)
  if (hostname === undefined) throw noHost(exchange)
  const app = parts.routes.resolve(hostname, exchange)
  if (!(app instanceof Promise)) return serveApp(parts, exchange, app)
  return app.then(found => serveApp(parts, exchange, found)).catch(error => failed(parts, exchange, error))
}

function serveApp(parts: FrontParts, exchange: Exchange, app: Route): Promise<void> {
  const { guard, trusted, https, waitingPageAfterMs } = parts
  const isProxy = trusted.has(exchange.peer)
  const visitor = isProxy ? visitorOf(exchange, trusted) : undefined
  const client = visitor?.address
  const secure = visitor?.secure ?? exchange.secure
  const hsts = secure ? https.hstsOf(app.access) : undefined
  if (hsts !== undefined) exchange.ownHeaders[HSTS_HEADER] = hsts
  if (app.access !== undefined) guard.admit(app.name, app.access, client ?? exchange.peer)
  if (!secure && https.redirects(app.access)) return https.redirect(exchange, isProxy)
  if (exchange.isFor(EVENTS_PATH)) return follow(parts, app, exchange)
  const ask = new RequestAsk(
    exchange,
    client === undefined ? undefined : () => client,
    isNavigation(exchange) ? waitingPageAfterMs : undefined,
  )
  // A WebSocket may stay for days: it has to end when the front does.
  const leaver: Leaver =
    ask.going === undefined ? exchange : { signal: AbortSignal.any([exchange.signal, parts.ending, ask.going]) }
  const bounds = parts.bounds.of(app)
  const places = placesFor(bounds, ask.kind)
  const visit = { parts, exchange, app, bounds, places, isProxy, client, hsts, ask, leaver }
  if (!places.enter()) return queued(visit)
  try {
    return begin(visit)
  } catch (error) {
    places.leave()
    throw error
  }
}

/** Serves a request that has its place at the app, and gives the place back. */
function begin(visit: Visit): Promise<void> {
  const { parts, app, ask, leaver, places } = visit
  const node = wellPinned(parts, app.name)
  if (node === undefined) return leaving(visit, persist(visit))
  const held = parts.reach.hold(app, node, ask, leaver)
  if (held instanceof Promise) return leaving(visit, persist(visit, { node, holding: held }))
  return pass(visit, node, held).then(
    () => {
      held[Symbol.dispose]()
      places.leave()
    },
    error => {
      noteBadAnswer(held, error)
      held[Symbol.dispose]()
      return leaving(visit, persist(visit, { node, held, error }))
    },
  )
}

const leaving = ({ places }: Visit, served: Promise<void>): Promise<void> => served.finally(() => places.leave())

/** Serves a request for which there was no place at the app: it waits, or is refused where too many do. */
async function queued(visit: Visit): Promise<void> {
  const { parts, exchange, leaver, places } = visit
  try {
    await places.wait(leaver.signal)
  } catch (error) {
    return failed(parts, exchange, error)
  }
  let served: Promise<void>
  try {
    served = begin(visit)
  } catch (error) {
    places.leave()
    return failed(parts, exchange, error)
  }
  return served
}

/** A request on its way to its app. */
type Visit = {
  readonly parts: FrontParts
  readonly exchange: Exchange
  readonly app: Route
  readonly bounds: AppBounds
  readonly places: Places
  readonly isProxy: boolean
  readonly client: string | undefined
  readonly hsts: string | undefined
  readonly ask: RequestAsk
  readonly leaver: Leaver
}

/** What was tried already: a hold that is waited for, or a way that failed. */
type Tried = { readonly node: Node; readonly holding: Promise<Held> } | Failed

function pass(
  { parts, exchange, app, bounds, isProxy, client, hsts, ask, leaver }: Visit,
  node: Node,
  held: Held,
): Promise<void> {
  parts.pins.set(instanceId(app.name), node.name)
  const { answerWithinMs } = bounds
  const hop = hopOf({ exchange, held, node, isProxy, ask, client, hsts, answerWithinMs })
  return exchange.forward(hop, leaver === exchange ? undefined : leaver.signal)
}

/** Serves what cannot be served at once: waits, and tries again as long as nobody has seen the request. */
async function persist(visit: Visit, tried?: Tried): Promise<void> {
  const { parts, exchange, app, ask, leaver } = visit
  try {
    const givesUpAt = parts.clock.now() + NODE_BACK_WITHIN
    let last: Failed | undefined = tried !== undefined && 'error' in tried ? tried : undefined
    let begun = tried !== undefined && 'holding' in tried ? tried : undefined
    for (let left = last === undefined ? TRIES : TRIES - 1; ; left--) {
      if (last !== undefined && !(left > 0 && (await mayTryAgain(parts, app.name, last)))) {
        if (!isAwaited(parts, app.name, last) || parts.clock.now() >= givesUpAt) throw told(app.name, last, exchange)
        await pause(parts.clock, LOOK_AGAIN_MS, leaver.signal)
        left = TRIES
      }
      const node = begun?.node ?? (await nodeOf(parts, app.name, leaver.signal))
      const holding = begun?.holding
      begun = undefined
      const pinned = parts.pins.get(instanceId(app.name))
      let held: Held | undefined
      try {
        using way = await (holding ?? parts.reach.hold(app, node, ask, leaver))
        held = way
        return await pass(visit, node, way).catch(error => {
          noteBadAnswer(way, error)
          throw error
        })
      } catch (error) {
        last = { node, held, error }
        // Who does not take it gets no pin: with the master away, the node that knows the app may be back before.
        if (pinned !== undefined && error instanceof Refusal) parts.pins.set(instanceId(app.name), pinned)
      }
    }
  } catch (error) {
    await failed(parts, exchange, error)
  }
}

async function follow(parts: FrontParts, app: Route, exchange: Exchange): Promise<void> {
  const node = await nodeOf(parts, app.name, exchange.signal)
  await byHandler(
    exchange,
    (_request, response, gone) => followWake(parts.reach, app, node, response, AbortSignal.any([gone, parts.ending])),
    parts.log,
  )
}

const noHost = ({ host = '' }: Exchange): ShadowError =>
  new ShadowError('host-unknown', `no app has the hostname ${JSON.stringify(host)}`)
