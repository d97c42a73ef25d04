import { ShadowError } from '../../errors.ts'
import type { Opened, OwnAnswer } from '../exchange.ts'
import { type NextHop, Refusal, type Stage, UpstreamError } from '../next-hop.ts'
import type { AnsweredExchange, AnswerReader } from '../upstream/answer-reader.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Waiter } from '../upstream/pool.ts'
import type { Head } from '../wire/head.ts'
import { isIdempotent } from '../wire/methods.ts'
import type { ClientOrigin } from './client-origin.ts'
import { composeRequest } from './compose-heads.ts'
import type { ServedExchange, ServerContext } from './server-context.ts'

type Settle = { readonly resolve: () => void; readonly reject: (reason: unknown) => void }

/** A request that can be forwarded: it is sent to an upstream, sent again where that is allowed, and its answer is forwarded. */
export abstract class ForwardedExchange implements ServedExchange, AnsweredExchange, Waiter {
  readonly head: Head
  readonly context: ServerContext
  answered = false
  mayBeSeen = false
  opened = false
  readonly ownHeaders: Record<string, string> = {}
  mountedAt = ''
  /** The target without `mountedAt`. */
  #mounted: string | undefined
  hop: NextHop | undefined
  upstream: UpstreamConnection | undefined
  /** Why the upstream accepts no more bytes. Its answer may still come. */
  writeError: Error | undefined
  /** The body is held back until the upstream says `100 Continue`. */
  protected asks = false
  #answer: AnswerReader | undefined
  #settle: Settle | undefined
  #gone: AbortController | undefined
  #signal: AbortSignal | undefined
  #repeated = false
  /** An upstream has received the request, and may have begun to handle it. */
  #wasSent = false
  /** The next hop to which a connection is awaited. */
  #awaited: NextHop | undefined
  /** Set by the pool only. */
  waitedSweeps = 0

  constructor(head: Head, context: ServerContext) {
    this.head = head
    this.context = context
  }

  abstract readonly gone: boolean
  abstract readonly over: boolean
  abstract readonly host: string | undefined
  abstract readonly connection: object
  abstract answer(answer: OwnAnswer): void
  abstract open(): Promise<Opened>
  abstract cut(): void
  /** What upstreams are told about the client. */
  protected abstract readonly origin: ClientOrigin
  /** A byte of the body was sent to an upstream, so the request cannot be sent again. */
  protected abstract readonly bodyBegun: boolean
  /** The whole body has been forwarded. */
  protected abstract readonly bodyDone: boolean
  protected abstract answerFrom(upstream: UpstreamConnection, hop: NextHop): AnswerReader
  /** Sends `100 Continue` to the client. */
  protected abstract passContinue(): void
  /** Forwards the body from now on, after the head if that was not sent yet. */
  protected abstract sendBody(upstream: UpstreamConnection): void
  /** Discards the rest of the body, now and as it comes. */
  protected abstract dropBody(): void
  /** The whole answer has been written to the client's socket or stream, which may not have sent it yet. */
  protected abstract handedOut(): void
  /** Stops forwarding the body, since there is no upstream any more. */
  protected halt(): void {}

  get method(): string {
    return this.head.method
  }

  get target(): string {
    return this.#mounted ?? this.head.target
  }

  isFor(path: string): boolean {
    return this.#mounted === undefined ? this.head.isFor(path) : this.#mounted === path
  }

  mountAt(prefix: string): void {
    const rest = this.target.slice(prefix.length)
    this.mountedAt += prefix
    this.#mounted = rest.startsWith('/') ? rest : `/${rest}`
  }

  get clientAddress(): string {
    return this.origin.address
  }

  get secure(): boolean {
    return this.origin.proto === 'https'
  }

  get hasBody(): boolean {
    return this.head.requestFraming !== 'none'
  }

  get upgrade(): string | undefined {
    return this.head.wantsUpgrade ? this.head.list('upgrade') : undefined
  }

  get headBytes(): number {
    return this.head.length
  }

  get signal(): AbortSignal {
    if (this.#gone === undefined) {
      this.#gone = new AbortController()
      if (this.gone) this.#gone.abort(left())
    }
    return this.#gone.signal
  }

  header(name: string): string | undefined {
    return this.head.header(name)
  }

  list(name: string): string | undefined {
    return this.head.list(name)
  }

  forward(hop: NextHop, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      if (this.gone) return reject(left())
      this.#settle = { resolve, reject }
      this.hop = hop
      if (signal !== undefined && signal !== this.#gone?.signal) {
        this.#signal = signal
        signal.addEventListener('abort', this.#aborted, { once: true })
      }
      this.#attempt(hop)
    })
  }

  get wantsFresh(): boolean {
    return this.#repeated
  }

  given(upstream: UpstreamConnection): void {
    const { hop } = this
    this.#awaited = undefined
    if (hop !== undefined) this.#send(upstream, hop)
  }

  notGiven(cause: Error): void {
    const { hop } = this
    this.#awaited = undefined
    if (hop === undefined) return
    if (cause instanceof ShadowError) {
      this.failed(cause)
      return
    }
    this.#fail('connect', UpstreamError.lost(hop.address, 'connect', this.#wasSent, cause))
  }

  received(bytes: Buffer, end: number, lent: boolean): void {
    this.#answer?.received(bytes, end, lent)
  }

  ended(): void {
    this.#answer?.ended()
  }

  lost(cause: Error | undefined): void {
    const { hop, upstream } = this
    if (this.#settle === undefined || hop === undefined) return
    const stage = this.#stage()
    const sent = !this.asks
    const isKept = !this.bodyBegun && !this.#repeated && upstream?.wasKept === true && this.#answer?.begun !== true
    const isDead = upstream?.isDead === true
    // Without `alive` (a hop to a node, which holds the app itself) the request may be sent elsewhere after the repetition.
    this.#wasSent ||= sent && hop.alive !== undefined
    this.#letGo(false)
    const why = cause ?? new Error('the connection was closed')
    const failure = UpstreamError.lost(hop.address, stage, sent || this.#wasSent, why)
    if (isKept && !isDead && (!sent || isIdempotent(this.method))) this.#repeat(hop, failure)
    else this.#fail(stage, isDead && sent ? why : failure)
  }

  /** Sends the request again, if the same upstream still runs. */
  #repeat(hop: NextHop, failure: UpstreamError): void {
    this.#repeated = true
    const again = (): void => {
      this.context.counters.repeated += 1
      this.#attempt(hop)
    }
    if (hop.alive === undefined) {
      again()
      return
    }
    const settle = this.#settle
    hop.alive().then(
      () => this.#settle === settle && again(),
      problem => this.#settle === settle && this.#fail(failure.stage, this.#wasSent ? problem : failure),
    )
  }

  #fail(stage: Stage, reason: unknown): void {
    this.context.counters.failed(stage)
    this.failed(reason)
  }

  writeFailed(cause: Error): void {
    if (this.writeError !== undefined) return
    this.writeError = cause
    this.context.later(() => this.#answer?.begun !== true && this.writeError === cause && this.upstream?.destroy(cause))
    this.dropBody()
  }

  get awaitsAnswer(): boolean {
    return (this.bodyDone || this.asks) && !this.answered && this.#answer?.begun === false
  }

  silent(): void {
    const { hop } = this
    if (hop === undefined) return
    this.context.counters.lateAnswers += 1
    this.upstream?.reset()
    this.failed(UpstreamError.late(hop))
  }

  continues(): void {
    if (!this.asks) {
      this.passContinue()
      return
    }
    this.asks = false
    this.mayBeSeen = true
    if (this.upstream !== undefined) this.sendBody(this.upstream)
  }

  refused(refusal: Omit<ConstructorParameters<typeof Refusal>[0], 'sent'>): void {
    this.#letGo(false)
    // RFC 9110, 9.2.2: what is idempotent may be sent again, though somebody has seen it.
    const isSeen = this.hop?.seen?.(refusal.headers) === true && !isIdempotent(this.method)
    this.#settled()?.reject(new Refusal({ ...refusal, sent: this.bodyBegun || isSeen }))
  }

  /** The request cannot be forwarded to the end. If the client has a part of the answer, it is cut. */
  failed(reason: unknown): void {
    this.#letGo(false)
    if (this.answered) this.cut()
    this.#settled()?.reject(reason)
  }

  finished(reusable: boolean): void {
    this.#letGo(reusable && this.bodyDone && this.upstream?.writer.isWritten === true)
    this.handedOut()
  }

  /** The client left or was cut. */
  left(reason: unknown): void {
    this.upstream?.reset() // a mere end could come from a client that still waits
    this.#letGo(false)
    this.#gone?.abort(reason)
    this.#settled()?.reject(reason)
  }

  /** The signal given to `forward` has aborted. */
  protected aborted(reason: unknown): void {
    this.failed(reason)
  }

  /** Hands over the connection to the upstream, which has switched to another protocol. */
  protected giveUpstream(): UpstreamConnection | undefined {
    const { upstream } = this
    this.upstream = this.#answer = undefined
    return upstream
  }

  /** Whether the request is being forwarded. */
  protected get isForwarded(): boolean {
    return this.#settle !== undefined
  }

  /** The client has the whole answer. */
  protected arrived(): void {
    this.#settled()?.resolve()
  }

  #attempt(hop: NextHop): void {
    const { pool } = this.context
    const repeatable = !this.hasBody && isIdempotent(this.head.method)
    const upstream = this.#repeated ? undefined : pool.take(hop, repeatable)
    if (upstream !== undefined) {
      this.#send(upstream, hop)
      return
    }
    this.#awaited = hop
    pool.wait(hop, this)
  }

  #send(upstream: UpstreamConnection, hop: NextHop): void {
    const { head } = this
    const { out } = this.context
    this.upstream = upstream
    upstream.user = this
    upstream.sweeps = 0
    upstream.mostSilent =
      hop.answerWithinMs === undefined ? Number.POSITIVE_INFINITY : hop.answerWithinMs / this.context.sweepMs
    this.#answer = this.answerFrom(upstream, hop)
    this.writeError = undefined
    try {
      composeRequest(out, head, hop, this.origin, this.#mounted)
    } catch (error) {
      out.clear()
      this.failed(error) // one of our own headers is not well formed
      return
    }
    const { bodyDone } = this
    this.asks = !bodyDone && hop.expect === 'ask' && !head.expects
    this.mayBeSeen ||= !this.asks
    if (bodyDone || this.asks) {
      out.send(upstream.writer)
      return
    }
    if (hop.expect === 'answer' && head.expects) this.passContinue()
    this.sendBody(upstream)
  }

  #stage(): Stage {
    if (this.answered) return 'body'
    return this.bodyDone ? 'head' : 'send'
  }

  #letGo(reusable: boolean): void {
    const { upstream } = this
    if (this.#awaited !== undefined) {
      this.context.pool.stopWaiting(this.#awaited, this)
      this.#awaited = undefined
    }
    if (upstream === undefined) return
    this.upstream = this.#answer = undefined
    this.halt()
    if (reusable) this.context.pool.give(upstream)
    else {
      upstream.user = undefined
      upstream.destroy()
    }
  }

  #settled(): Settle | undefined {
    const settle = this.#settle
    this.#settle = undefined
    this.#signal?.removeEventListener('abort', this.#aborted)
    this.#signal = undefined
    return settle
  }

  readonly #aborted = (): void => this.aborted(this.#signal?.reason)
}

export const left = (): ShadowError => new ShadowError('client-gone', 'the client left before its answer')
