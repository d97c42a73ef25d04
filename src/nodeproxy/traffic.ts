import {
  HOP_ANSWER_WITHIN,
  HOP_CLIENT,
  HOP_EXPECT,
  HOP_PATIENCE,
  NODE_HEADER,
  PERMIT_HEADER,
  STATE_HEADER,
} from '../api/paths.ts'
import { appUnreachable, noteBadAnswer, OURS, RequestAsk, servedBy, TRIES } from '../api/traffic.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import { type Hop, UpstreamError } from '../lib/http/upstream-target.ts'
import type { Leaver } from '../lib/leaver.ts'
import type { Places } from '../lib/places.ts'
import { ANSWER_WITHIN } from '../model/access.ts'
import type { Ask, Held, Phase } from '../model/instance.ts'
import { appOf, type InstanceId, parseInstanceId } from '../model/instance-id.ts'
import type { NodeName } from '../model/names.ts'
import { toMs } from '../model/quantities.ts'
import { type NodeBounds, tooMany } from './bounds.ts'

type Parts = {
  readonly node: NodeName
  /** Keeps the instance awake, waking it first if need be. */
  readonly hold: (instance: InstanceId, ask: Ask, leaver: Leaver) => Held | Promise<Held>
  readonly phase: (instance: InstanceId) => Phase | Promise<Phase>
  readonly bounds: NodeBounds
}

export type Traffic = (instance: string, exchange: Exchange) => Promise<void>

/** Serves requests that a front forwards for an instance of this node: hold, forward, to the last byte. */
export function traffic(parts: Parts): Traffic {
  return (text, exchange) => {
    const instance = parseInstanceId(text)
    const app = appOf(instance)
    const places = parts.bounds.placesOf(app)
    const visit = { ...parts, instance, places, exchange, ask: asked(exchange) }
    if (!places.enter()) return failed(visit, tooMany(app))
    let held: Held | Promise<Held>
    try {
      held = parts.hold(instance, visit.ask, exchange)
    } catch (error) {
      places.leave()
      return failed(visit, error)
    }
    // No async function on the way of a request for an app that is awake: to suspend one costs as much as to read a head.
    if (held instanceof Promise) return leaving(visit, persist(visit, { holding: held }))
    const way = held
    return forward(visit, way).then(
      () => {
        way[Symbol.dispose]()
        places.leave()
      },
      error => {
        noteBadAnswer(way, error)
        way[Symbol.dispose]()
        return leaving(visit, persist(visit, { held: way, error }))
      },
    )
  }
}

type Visit = Parts & {
  readonly instance: InstanceId
  readonly places: Places
  readonly exchange: Exchange
  readonly ask: RequestAsk
}

function forward(visit: Visit, held: Held): Promise<void> {
  const { exchange, ask } = visit
  const signal = ask.going && AbortSignal.any([exchange.signal, ask.going])
  return exchange.forward(hopOf(visit, held), signal)
}

const leaving = ({ places }: Visit, served: Promise<void>): Promise<void> => served.finally(() => places.leave())

/** What was tried already: a hold that is waited for, or a way that failed. */
type Tried = { readonly holding: Promise<Held> } | { readonly held: Held; readonly error: unknown }

/** Serves what cannot be served at once: waits, and tries again as long as nobody has seen the request. */
async function persist(visit: Visit, tried: Tried): Promise<void> {
  const { instance, ask, exchange, hold } = visit
  try {
    let last = 'error' in tried ? tried : undefined
    let holding = 'holding' in tried ? tried.holding : undefined
    for (let left = last === undefined ? TRIES : TRIES - 1; ; left--) {
      if (last !== undefined) await again(instance, last, left)
      using held = await (holding ?? hold(instance, ask, exchange))
      holding = undefined
      try {
        return await forward(visit, held)
      } catch (error) {
        noteBadAnswer(held, error)
        last = { held, error }
      }
    }
  } catch (error) {
    await failed(visit, error)
  }
}

/** Throws what failed, unless the app cannot have seen the request and another try is left. */
async function again(
  instance: InstanceId,
  { held, error }: { held: Held; error: unknown },
  left: number,
): Promise<void> {
  if (!(error instanceof UpstreamError)) throw error
  if (error.sent && !error.isRefused) await held.alive?.() // else its end is what the visitor hears of
  if (error.sent || left <= 0) throw appUnreachable(appOf(instance), error)
  await held.refused?.()
}

async function failed({ node, phase, instance, exchange }: Visit, error: unknown): Promise<never> {
  exchange.ownHeaders[NODE_HEADER] = node
  exchange.ownHeaders[STATE_HEADER] = await phase(instance)
  throw error
}

const hopOf = ({ node, exchange }: Visit, held: Held): Hop => ({
  address: held.address,
  upstream: held.run,
  alive: held.alive,
  strip: OURS,
  forwarded: 'keep',
  expect: exchange.hasBody && exchange.header(HOP_EXPECT) === 'hop' ? 'answer' : 'pass',
  requestHeaders: held.headers,
  answerWithinMs: answerWithinMs(exchange),
  responseHeaders: servedBy(node, held.waited),
})

function asked(exchange: Exchange): RequestAsk {
  const patience = Number(exchange.header(HOP_PATIENCE) ?? Number.NaN)
  return new RequestAsk(exchange, from, patience >= 0 ? patience : undefined, exchange.header(PERMIT_HEADER))
}

const from = (exchange: Exchange): string | undefined =>
  exchange.header(HOP_CLIENT) ?? exchange.header('x-forwarded-for')

const ANSWER_WITHIN_MS = toMs(ANSWER_WITHIN)

/** What the front says of the app's rules. */
function answerWithinMs(exchange: Exchange): number | undefined {
  const said = exchange.header(HOP_ANSWER_WITHIN)
  if (said === undefined) return ANSWER_WITHIN_MS
  const ms = Number(said)
  return ms > 0 ? ms : undefined
}
