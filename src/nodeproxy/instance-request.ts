import { type Delivery, deliver, type Failed } from '../api/delivery.ts'
import { appUnreachable, OURS, servedBy } from '../api/forwarding.ts'
import { HttpHoldRequest } from '../api/hold-request.ts'
import {
  HOP_ANSWER_WITHIN,
  HOP_CLIENT,
  HOP_EXPECT,
  HOP_PATIENCE,
  NODE_HEADER,
  PERMIT_HEADER,
  STATE_HEADER,
} from '../api/paths.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import type { Clock } from '../lib/clock.ts'
import type { ConcurrencyLimit } from '../lib/concurrency-limit.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import { type NextHop, UpstreamError } from '../lib/http/next-hop.ts'
import { ANSWER_WITHIN } from '../model/access.ts'
import type { Held, HoldRequest, Phase } from '../model/instance.ts'
import { appOf, type InstanceId, parseInstanceId } from '../model/instance-id.ts'
import type { NodeName } from '../model/names.ts'
import { toMs } from '../model/quantities.ts'
import { type NodeBounds, tooMany } from './bounds.ts'

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
    if (!request.places.enter()) return request.fail(tooMany(appOf(request.instance)))
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
  readonly places: ConcurrencyLimit
  readonly #holdRequest: HttpHoldRequest
  readonly cancellation: Cancellation
  readonly #exchange: Exchange
  readonly #parts: Parts

  constructor(parts: Parts, instance: InstanceId, exchange: Exchange) {
    this.#parts = parts
    this.instance = instance
    this.cancellation = exchange
    this.#exchange = exchange
    this.places = parts.bounds.placesOf(appOf(instance))
    this.#holdRequest = holdRequestOf(exchange)
  }

  get clock(): Clock {
    return this.#parts.clock
  }

  known(): InstanceId {
    return this.instance
  }

  async choose(): Promise<InstanceId> {
    return this.instance
  }

  hold(instance: InstanceId): Held | Promise<Held> {
    return this.#parts.hold(instance, this.#holdRequest, this.cancellation)
  }

  forward(_instance: InstanceId, held: Held): Promise<void> {
    const { going } = this.#holdRequest
    const signal = going && AbortSignal.any([this.#exchange.signal, going])
    return this.#exchange.forward(hopOf(this.#parts.node, this.#exchange, held), signal)
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
    ownHeaders[STATE_HEADER] = await this.#parts.phase(this.instance)
    throw error
  }
}

const hopOf = (node: NodeName, exchange: Exchange, held: Held): NextHop => ({
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

function holdRequestOf(exchange: Exchange): HttpHoldRequest {
  const patience = Number(exchange.header(HOP_PATIENCE) ?? Number.NaN)
  return new HttpHoldRequest(exchange, from, patience >= 0 ? patience : undefined, exchange.header(PERMIT_HEADER))
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
