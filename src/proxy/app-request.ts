import type { Delivery, Failed } from '../api/delivery.ts'
import { HttpHoldRequest } from '../api/hold-request.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import type { Clock } from '../lib/clock.ts'
import type { ConcurrencyLimit } from '../lib/concurrency-limit.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import { Refusal } from '../lib/http/next-hop.ts'
import type { Node } from '../model/app.ts'
import type { Held } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import type { Route } from '../model/route.ts'
import { type AppBounds, placesFor } from './bounds.ts'
import { errorFor, mayComeBack, mayGoElsewhere, type RefusedBy } from './failover.ts'
import type { FrontParts } from './front-parts.ts'
import { hopOf } from './next-hop.ts'
import { nodeOf, usablePinned } from './node-choice.ts'
import { isNavigation } from './visitor.ts'

type Parts = Pick<
  FrontParts,
  'pins' | 'nodes' | 'connector' | 'bounds' | 'errors' | 'waitingPageAfterMs' | 'clock' | 'ending'
>

type Given = {
  readonly parts: Parts
  readonly exchange: Exchange
  readonly app: Route
  /** Whether the peer is a trusted proxy; then `client` is what that proxy says. */
  readonly isProxy: boolean
  readonly client: string | undefined
  readonly hsts: string | undefined
}

/** A request for an app; its targets are nodes. */
export class AppRequest implements Delivery<Node> {
  readonly places: ConcurrencyLimit
  readonly cancellation: Cancellation
  readonly #of: Given
  readonly #bounds: AppBounds
  readonly #holdRequest: HttpHoldRequest
  /** Nodes that have refused to wake the app for this request. */
  readonly #refusedBy: RefusedBy = new Map()

  constructor(of: Given) {
    const { parts, exchange, app, client } = of
    this.#of = of
    const holdRequest = new HttpHoldRequest(
      exchange,
      client === undefined ? undefined : () => client,
      isNavigation(exchange) ? parts.waitingPageAfterMs : undefined,
      app.permit,
    )
    this.#holdRequest = holdRequest
    this.#bounds = parts.bounds.of(app)
    this.places = placesFor(this.#bounds, holdRequest.kind)
    // A WebSocket may stay for days, so it ends when the front ends.
    this.cancellation =
      holdRequest.going === undefined
        ? exchange
        : { signal: AbortSignal.any([exchange.signal, parts.ending, holdRequest.going]) }
  }

  get clock(): Clock {
    return this.#of.parts.clock
  }

  known(): Node | undefined {
    return usablePinned(this.#of.parts, this.#of.app)
  }

  choose(): Promise<Node> {
    return nodeOf(this.#of.parts, this.#of.app, this.cancellation.signal, this.#refusedBy)
  }

  hold(node: Node): Held | Promise<Held> {
    return this.#of.parts.connector.hold(this.#of.app, node, this.#holdRequest, this.cancellation)
  }

  forward(node: Node, held: Held): Promise<void> {
    const { parts, exchange, app, isProxy, client, hsts } = this.#of
    const { pins } = parts
    const instance = instanceId(app.name)
    const before = pins.get(instance)
    pins.set(instance, node.name)
    const { answerWithinMs } = this.#bounds
    const hop = hopOf({ exchange, held, node, isProxy, holdRequest: this.#holdRequest, client, hsts, answerWithinMs })
    const forwarded = exchange.forward(hop, this.cancellation === exchange ? undefined : this.cancellation.signal)
    if (before === undefined || before === node.name) return forwarded
    // A node that refuses the request gets no pin: while the master is away, the node that knows the app may come back first.
    return forwarded.catch(error => {
      if (error instanceof Refusal) pins.set(instance, before)
      throw error
    })
  }

  mayGoElsewhere(failed: Failed<Node>): boolean {
    return mayGoElsewhere(this.#of.parts, this.#of.app, failed, this.#refusedBy)
  }

  mayComeBack(failed: Failed<Node>): boolean {
    return mayComeBack(this.#of.parts, this.#of.app.name, failed)
  }

  errorOf(failed: Failed<Node>): unknown {
    return errorFor(this.#of.app.name, failed, this.#of.exchange, this.#refusedBy)
  }

  /** Answers with the error; throws it where an answer has begun or the client has left. */
  async fail(error: unknown): Promise<void> {
    const { parts, exchange } = this.#of
    if (exchange.answered || exchange.signal.aborted) throw error
    parts.errors.answer(exchange, error)
  }
}
