import { answerCounter } from '../api/answer-counts.ts'
import { type Delivery, deliver, type Failed } from '../api/delivery.ts'
import { appUnreachable, OURS, servedBy } from '../api/forwarding.ts'
import { HttpHoldRequest } from '../api/hold-request.ts'
import {
  HOP_ANSWER_WITHIN,
  HOP_CLIENT,
  HOP_EXPECT,
  HOP_IGNORED,
  HOP_MOST,
  HOP_PATIENCE,
  HOP_PORT,
  HOP_RELEASE,
  HOP_TRACE,
  NODE_HEADER,
  PERMIT_HEADER,
  SEEN_HEADER,
  SESSION_HEADER,
  STATE_HEADER,
} from '../api/paths.ts'
import { atPort } from '../api/port-hold.ts'
import { cookieFor, readWanted, releaseOf, type Wanted } from '../api/release-cookie.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import { type NextHop, UpstreamError } from '../lib/http/next-hop.ts'
import { ANSWER_WITHIN } from '../model/access.ts'
import type { Held, HoldRequest, Phase } from '../model/instance.ts'
import { appOf, type InstanceId, parseInstanceId } from '../model/instance-id.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { toMs } from '../model/quantities.ts'
import { sessionParts } from '../model/session.ts'
import { instanceFull, type NodeBounds, tooMany } from './bounds.ts'

type Parts = {
  readonly node: NodeName
  /** Keeps the instance awake, waking it first if need be. */
  readonly hold: (instance: InstanceId, request: HoldRequest, cancellation: Cancellation) => Held | Promise<Held>
  readonly phase: (instance: InstanceId) => Phase | Promise<Phase>
  readonly bounds: NodeBounds
  readonly clock: Clock
}

export type InstanceHandler = (instance: string, exchange: Exchange) => Promise<void>

/** Serves requests that a front forwards for an instance of this node: hold, forward, to the last byte. */
export function instanceHandler(parts: Parts): InstanceHandler {
  return (text, exchange) => {
    const request = new InstanceRequest(parts, parseInstanceId(text), exchange)
    const refused = request.enter()
    if (refused !== undefined) return request.fail(refused)
    try {
      return deliver(request)
    } catch (error) {
      return request.fail(error)
    }
  }
}

/** A request for an instance of this node. The only target is the instance: a request that its run did not take can only go to its next run. */
class InstanceRequest implements Delivery<InstanceId> {
  readonly instance: InstanceId
  places: Delivery<InstanceId>['places']
  readonly #holdRequest: HttpHoldRequest
  readonly cancellation: Cancellation
  readonly #exchange: Exchange
  readonly #parts: Parts
  readonly #wanted: Wanted

  constructor(parts: Parts, instance: InstanceId, exchange: Exchange) {
    this.#parts = parts
    this.instance = instance
    this.cancellation = exchange
    this.#exchange = exchange
    this.places = parts.bounds.placesOf(appOf(instance))
    this.#wanted = readWanted(exchange.header(HOP_RELEASE))
    this.#holdRequest = holdRequestOf(exchange, this.#wanted)
  }

  get mayBeSeen(): boolean {
    return this.#exchange.mayBeSeen
  }

  get clock(): Clock {
    return this.#parts.clock
  }

  /** Takes a place of the app, and of the instance if the front says how many it has; returns the error if there is none. */
  enter(): ShadowError | undefined {
    const { bounds } = this.#parts
    const places = bounds.placesOf(appOf(this.instance))
    if (!places.enter()) return tooMany(appOf(this.instance))
    const most = Number(this.#exchange.header(HOP_MOST) ?? 0)
    if (!(most > 0)) return undefined
    const ofInstance = bounds.ofInstance(this.instance)
    if (!ofInstance.take(most)) {
      places.leave()
      return instanceFull(this.instance, most)
    }
    this.places = {
      leave: () => {
        ofInstance.give()
        places.leave()
      },
    }
    return undefined
  }

  known(): InstanceId {
    return this.instance
  }

  async choose(): Promise<InstanceId> {
    return this.instance
  }

  hold(instance: InstanceId): Held | Promise<Held> {
    const { port } = this.#holdRequest
    const held = this.#parts.hold(instance, this.#holdRequest, this.cancellation)
    return port === undefined ? held : atPort(held, appOf(instance), port)
  }

  forward(_instance: InstanceId, held: Held): Promise<void> {
    const { going } = this.#holdRequest
    const signal = going && AbortSignal.any([this.#exchange.signal, going])
    const { node, clock } = this.#parts
    const app = appOf(this.instance)
    const hop = hopOf({ node, app, exchange: this.#exchange, held, wanted: this.#wanted, clock })
    return this.#exchange.forward(hop, signal)
  }

  mayGoElsewhere(): boolean {
    return false
  }

  mayComeBack(): boolean {
    return false
  }

  errorOf({ error }: Failed<InstanceId>): unknown {
    return error instanceof UpstreamError ? appUnreachable(appOf(this.instance), error) : error
  }

  async fail(error: unknown): Promise<never> {
    const { ownHeaders } = this.#exchange
    ownHeaders[NODE_HEADER] = this.#parts.node
    if (this.mayBeSeen) ownHeaders[SEEN_HEADER] = '1'
    ownHeaders[STATE_HEADER] = await this.#parts.phase(this.instance)
    throw error
  }
}

type Hop = {
  readonly node: NodeName
  readonly app: AppName
  readonly exchange: Exchange
  readonly held: Held
  readonly wanted: Wanted
  readonly clock: Clock
}

const hopOf = ({ node, app, exchange, held, wanted, clock }: Hop): NextHop => ({
  address: held.address,
  upstream: held.run,
  otherPort: held.port,
  alive: held.alive,
  strip: OURS,
  forwarded: 'keep',
  expect: exchange.hasBody && exchange.header(HOP_EXPECT) === 'hop' ? 'answer' : 'pass',
  requestHeaders: requestHeadersOf(app, exchange, held),
  answerWithinMs: answerWithinMs(exchange),
  refuseAnswer: lateAnswer(held.answersUntil, clock),
  onAnswer: answerCounter(held),
  responseHeaders: servedBy(node, held.waited, cookieFor(wanted, held, isSecure(exchange))),
})

/** The same object for most requests, since the forwarder caches by it. The app of a session is told its name: `strip` has dropped what the front said. */
function requestHeadersOf(app: AppName, exchange: Exchange, held: Held): NextHop['requestHeaders'] {
  const isSession = app.includes('--') && sessionParts(app) !== undefined
  if (held.waited === undefined && !isSession) return held.headers
  return {
    ...held.headers,
    ...(held.waited !== undefined && joined(exchange)),
    ...(isSession && { [SESSION_HEADER]: app }),
  }
}

/** An app joins the trace of the front by it, if the request waited, and came without a traceparent. */
function joined(exchange: Exchange): { traceparent: string } | undefined {
  const trace = exchange.header(HOP_TRACE)
  return trace === undefined || exchange.header('traceparent') !== undefined ? undefined : { traceparent: trace }
}

/**
 * Refuses an answer that comes when another node may have the volume: what the app wrote for it may be lost, as on a machine that was paused
 * and goes on before its timers ring.
 */
const lateAnswer = (until: Float64Array | undefined, clock: Clock): NextHop['refuseAnswer'] =>
  until &&
  (() =>
    clock.now() < (until[0] ?? 0)
      ? undefined
      : new ShadowError('master-unreachable', 'the lease of the volume had ended when the app answered', {
          retryAfterMs: 1_000,
        }))

/** Whether the visitor came by HTTPS, as the front says. */
const isSecure = (exchange: Exchange): boolean => exchange.header('x-forwarded-proto') === 'https'

function holdRequestOf(exchange: Exchange, wanted: Wanted): HttpHoldRequest {
  const patience = Number(exchange.header(HOP_PATIENCE) ?? Number.NaN)
  const more = {
    ignoredBy: decoded(exchange.header(HOP_IGNORED)),
    release: releaseOf(wanted),
    trace: exchange.header(HOP_TRACE),
    port: portOf(exchange.header(HOP_PORT)),
  }
  const patienceMs = patience >= 0 ? patience : undefined
  return new HttpHoldRequest(exchange, from, patienceMs, exchange.header(PERMIT_HEADER), more)
}

/** The port that a front names. */
function portOf(said: string | undefined): number | undefined {
  if (said === undefined) return undefined
  const port = Number(said)
  if (!/^[1-9]\d{0,4}$/.test(said) || port > 65_535)
    throw new ShadowError('bad-input', `the header ${HOP_PORT} has ${JSON.stringify(said)}, which is no port`)
  return port
}

function decoded(said: string | undefined): string | undefined {
  try {
    return said === undefined ? undefined : decodeURIComponent(said)
  } catch {
    return said
  }
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
