import type { Delivery, Failed } from '../api/delivery.ts'
import { HttpHoldRequest } from '../api/hold-request.ts'
import { atPort } from '../api/port-hold.ts'
import { cookieFor, releaseOf, type Wanted, wantedBy } from '../api/release-cookie.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import type { Clock } from '../lib/clock.ts'
import type { ConcurrencyLimit } from '../lib/concurrency-limit.ts'
import { isFailure } from '../lib/errors.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import { Refusal } from '../lib/http/next-hop.ts'
import type { Node } from '../model/app.ts'
import type { Held } from '../model/instance.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import type { Route } from '../model/route.ts'
import { type AppBounds, placesFor } from './bounds.ts'
import { errorFor, mayComeBack, mayGoElsewhere, type RefusedBy } from './failover.ts'
import { refusedIn } from './fleet/demand.ts'
import type { FrontParts } from './front-parts.ts'
import { hopOf } from './next-hop.ts'
import { nodeOf, usablePinned } from './node-choice.ts'
import { RequestTrace } from './request-trace.ts'
import { SpreadRequest } from './scaling/spread-request.ts'
import type { Visit } from './sessions/visit.ts'
import { isNavigation } from './visitor.ts'
import type { KeptAnswerRequest } from './wake/kept-answers.ts'

type Parts = Pick<
  FrontParts,
  | 'pins'
  | 'nodes'
  | 'connector'
  | 'demand'
  | 'bounds'
  | 'errors'
  | 'waitingPageAfterMs'
  | 'clock'
  | 'ending'
  | 'spread'
  | 'tracer'
>

export type AppRequestGiven = {
  readonly parts: Parts
  readonly exchange: Exchange
  readonly app: Route
  /** Whether the peer is a trusted proxy; then `client` is what that proxy says. */
  readonly isProxy: boolean
  readonly client: string | undefined
  /** Whether the visitor came by HTTPS. */
  readonly secure: boolean
  readonly hsts: string | undefined
  /** Another port of the app than its main one, for which the request is. */
  readonly port: number | undefined
  /** The rule by which it does not wake the app. */
  readonly ignoredBy: string | undefined
  /** Set if its answer is one that is kept. */
  readonly kept: KeptAnswerRequest | undefined
  /** Set if the app is a session. */
  readonly visit: Visit | undefined
}

/** A request for an app; its targets are nodes. */
export class AppRequest implements Delivery<Node> {
  readonly places: ConcurrencyLimit
  readonly cancellation: Cancellation
  readonly #of: AppRequestGiven
  readonly #bounds: AppBounds
  readonly #holdRequest: HttpHoldRequest
  /** Nodes that have refused to wake the app for this request. */
  readonly #refusedBy: RefusedBy = new Map()
  /** Set if its app has several instances. */
  readonly #spread: SpreadRequest | undefined
  readonly #wanted: Wanted
  readonly #trace: RequestTrace | undefined

  constructor(of: AppRequestGiven) {
    const { parts, exchange, app, client, kept } = of
    this.#of = of
    this.#wanted = wantedBy(exchange, app)
    this.#trace = RequestTrace.of(parts.tracer, exchange, app.name)
    const holdRequest = new HttpHoldRequest(
      exchange,
      client === undefined ? undefined : () => client,
      isNavigation(exchange) ? parts.waitingPageAfterMs : undefined,
      app.permit,
      {
        ignoredBy: of.ignoredBy ?? (kept?.isKept ? kept.says : undefined),
        release: releaseOf(this.#wanted),
        trace: this.#trace?.header,
        port: of.port,
      },
    )
    this.#holdRequest = holdRequest
    this.#bounds = parts.bounds.of(app)
    this.places = placesFor(this.#bounds, holdRequest.kind)
    const instances = parts.spread.of(app)
    this.#spread = instances && new SpreadRequest(instances, holdRequest.mayWake, holdRequest.release?.revision)
    const ends: AbortSignal[] = []
    // A WebSocket may stay for days, so it ends when the front ends.
    if (holdRequest.going !== undefined) ends.push(parts.ending, holdRequest.going)
    if (of.visit?.ended !== undefined) ends.push(of.visit.ended)
    this.cancellation = ends.length === 0 ? exchange : { signal: AbortSignal.any([exchange.signal, ...ends]) }
  }

  get mayBeSeen(): boolean {
    return this.#of.exchange.mayBeSeen
  }

  get clock(): Clock {
    return this.#of.parts.clock
  }

  known(): Node | undefined {
    return this.#spread === undefined ? usablePinned(this.#of.parts, this.#of.app) : this.#spread.known()
  }

  choose(): Promise<Node> {
    const { signal } = this.cancellation
    const plain = (): Promise<Node> => nodeOf(this.#of.parts, this.#of.app, signal, this.#refusedBy)
    return this.#spread === undefined ? plain() : this.#spread.choose(plain, signal)
  }

  hold(node: Node): Held | Promise<Held> {
    const { parts, app, port } = this.#of
    const hold = (): Held | Promise<Held> => {
      const held = parts.connector.hold(app, { instance: this.#instance, node }, this.#holdRequest, this.cancellation)
      return port === undefined ? held : atPort(held, app.name, port)
    }
    return this.#spread === undefined ? hold() : this.#spread.hold(hold)
  }

  get #instance(): InstanceId {
    return this.#spread?.instance ?? instanceId(this.#of.app.name)
  }

  forward(node: Node, held: Held): Promise<void> {
    const { parts, exchange, app, isProxy, client, secure, hsts, kept, visit } = this.#of
    const { pins, demand } = parts
    const trace = this.#trace
    if (held.waited !== undefined) trace?.waited()
    const instance = this.#instance
    const before = pins.get(instance)
    pins.set(instance, node.name)
    const { answerWithinMs } = this.#bounds
    // An answer has one cookie of ours at most: that of the release comes with the next one.
    const cookie = visit?.cookie ?? cookieFor(this.#wanted, held, secure)
    const rest = {
      holdRequest: this.#holdRequest,
      client,
      hsts,
      answerWithinMs,
      copy: kept?.copy,
      trace,
      cookie,
      visit,
    }
    const hop = hopOf({ exchange, held, node, isProxy, ...rest })
    const sent = exchange.forward(hop, this.cancellation === exchange ? undefined : this.cancellation.signal)
    const forwarded = demand.isAny ? sent.then(() => demand.met(app.name)) : sent
    if (before === undefined || before === node.name) return forwarded
    // A node that refuses the request gets no pin: while the master is away, the node that knows the app may come back first.
    return forwarded.catch(error => {
      if (error instanceof Refusal) pins.set(instance, before)
      throw error
    })
  }

  mayGoElsewhere(failed: Failed<Node>): boolean {
    if (this.#spread?.isFull(failed)) return true
    const elsewhere = mayGoElsewhere(this.#of.parts, this.#of.app, failed, this.#refusedBy)
    return this.#spread?.hasOther(failed) || elsewhere
  }

  mayComeBack(failed: Failed<Node>): boolean {
    return this.#spread?.isFull(failed) || mayComeBack(this.#of.parts, this.#of.app.name, failed)
  }

  errorOf(failed: Failed<Node>): unknown {
    const { app, exchange } = this.#of
    if (this.#spread?.isFull(failed)) return this.#spread.full()
    return errorFor(app.name, failed, exchange, this.#refusedBy)
  }

  /** Answers with the error; throws it where an answer has begun or the client has left. */
  async fail(error: unknown): Promise<void> {
    const { parts, exchange, app, kept, visit } = this.#of
    this.#trace?.failed(error)
    const refused = refusedIn(error, app)
    if (refused !== undefined) parts.demand.refused(refused)
    if (exchange.answered || exchange.signal.aborted) throw error
    // The waiting page follows the wake by a path without a token.
    if (visit?.cookie !== undefined) exchange.ownHeaders['set-cookie'] = visit.cookie
    const instead = isFailure(error, 'app-asleep', 'app-waking')
      ? kept?.answer(error.code === 'app-asleep' ? 'asleep' : 'waking')
      : undefined
    if (instead !== undefined) exchange.answer(instead)
    else parts.errors.answer(exchange, error, app)
  }
}
