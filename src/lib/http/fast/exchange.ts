import { ShadowError } from '../../errors.ts'
import type { Opened, OwnAnswer } from '../exchange.ts'
import { type Hop, Refusal, type Stage, UpstreamError } from '../hop.ts'
import { tooLarge } from '../limits.ts'
import type { Head } from '../wire/head.ts'
import { Answer } from './answer.ts'
import type { Client } from './client.ts'
import { composeRequest, composeTrailers } from './compose.ts'
import { passOn } from './memory.ts'
import type { Served } from './parts.ts'
import type { Upstream, UpstreamUser } from './upstream.ts'

/** RFC 9110, 9.2.2. */
export const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']

type Settle = { resolve: () => void; reject: (reason: unknown) => void }

/** A request on the fast path: its bytes go from socket to socket. */
export class FastExchange implements Served, UpstreamUser {
  readonly client: Client
  readonly head: Head
  answered = false
  /** Nothing of it is to come any more. */
  over = false
  ownHeaders: Record<string, string> = {}
  hop: Hop | undefined
  upstream: Upstream | undefined
  #answer: Answer | undefined
  #settle: Settle | undefined
  #gone: AbortController | undefined
  #signal: AbortSignal | undefined
  #begun = false
  /** The body waits until the upstream says to go on. */
  #asks = false
  #repeated = false
  /** It has to take what was written, before more is read of the body. */
  #waitsFor: Upstream | undefined
  /** Why the upstream takes nothing any more; its answer may still come. */
  #deaf: Error | undefined

  constructor(client: Client, head: Head) {
    this.client = client
    this.head = head
  }

  get gone(): boolean {
    return this.client.gone
  }

  cut(): void {
    this.client.cut()
  }

  get method(): string {
    return this.head.method
  }

  get target(): string {
    return this.head.target
  }

  get host(): string | undefined {
    const { bytes, base, hostStart, hostEnd } = this.head
    return hostStart < 0 ? undefined : this.client.peer.hostOf(bytes, base + hostStart, base + hostEnd)
  }

  get peer(): string {
    return this.client.peer.address
  }

  get connection(): object {
    return this.client.socket
  }

  get secure(): boolean {
    return this.client.peer.proto === 'https'
  }

  get hasBody(): boolean {
    return this.head.requestFraming !== 'none'
  }

  get upgrade(): string | undefined {
    return undefined // upgrades travel on the safe path
  }

  get headBytes(): number {
    return this.head.length
  }

  get signal(): AbortSignal {
    if (this.#gone === undefined) {
      this.#gone = new AbortController()
      if (this.client.gone) this.#gone.abort(left())
    }
    return this.#gone.signal
  }

  header(name: string): string | undefined {
    return this.head.header(name)
  }

  list(name: string): string | undefined {
    return listOf(this.head, name)
  }

  answer(answer: OwnAnswer): void {
    if (this.answered || this.client.gone) return
    this.client.answer(answer, this.ownHeaders)
    this.answered = true
    this.client.over(this)
  }

  async open(): Promise<Opened> {
    this.answered = true
    return this.client.open()
  }

  forward(hop: Hop, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      if (this.client.gone) return reject(left())
      this.#settle = { resolve, reject }
      this.hop = hop
      if (signal !== undefined && signal !== this.#gone?.signal) {
        this.#signal = signal
        signal.addEventListener('abort', this.#aborted, { once: true })
      }
      this.#attempt(false)
    })
  }

  /** Whether bytes of the body are awaited from the client. */
  get awaitsBody(): boolean {
    return this.upstream !== undefined && !this.#asks && this.#waitsFor === undefined && !this.client.requestBody.done
  }

  /** Passes on what there is of the request's body. */
  moveBody(): void {
    const { client, upstream, hop } = this
    const body = client.requestBody
    if (upstream === undefined || hop === undefined || this.#asks || this.#waitsFor !== undefined) return
    if (this.#deaf !== undefined) {
      client.dropBody()
      return
    }
    const { counters, limits, out } = client.parts
    while (!body.done && client.inputAt < client.inputEnd) {
      this.#begun = true
      const from = client.inputAt
      const stop = body.take(client.input, from, client.inputEnd)
      if (body.fault !== undefined) {
        this.#badBody(new ShadowError('bad-input', `a body with ${body.fault}`))
        return
      }
      if (body.chunked > limits.bodyBytes) {
        counters.bodiesTooLarge += 1
        this.#badBody(tooLarge(limits.bodyBytes))
        return
      }
      passOn(out, upstream.outlet, client.input, from, stop, client.inputLent)
      client.inputAt = body.next
      if (body.trailers !== undefined) composeTrailers(out, body.trailers, hop)
    }
    out.send(upstream.outlet)
    client.wantsBulk(!body.done && body.left > client.inputEnd)
    if (!upstream.outlet.isWritten && !body.done) this.#waitForUpstream(upstream)
  }

  received(bytes: Buffer, end: number, lent: boolean): void {
    this.#answer?.received(bytes, end, lent)
  }

  ended(): void {
    this.#answer?.ended()
  }

  lost(cause: Error | undefined): void {
    if (this.#settle === undefined) return
    const stage = this.#stage()
    const sent = stage !== 'connect' && !this.#asks
    const repeatable =
      !this.#begun && !this.#repeated && (this.upstream?.answered ?? 0) > 0 && this.#answer?.begun !== true
    this.upstream = undefined
    if (repeatable && (!sent || IDEMPOTENT.includes(this.method))) {
      this.#repeated = true
      this.client.parts.counters.repeated += 1
      this.#attempt(true)
      return
    }
    const why = cause ?? new Error('the connection was closed')
    this.client.parts.counters.failed(stage)
    this.failed(new UpstreamError(stage, sent, `${this.hop?.address} ${SAYS[stage]}: ${why.message}`, why))
  }

  deaf(cause: Error): void {
    if (this.#deaf !== undefined) return
    this.#deaf = cause
    this.client.parts.later(() => this.#answer?.begun !== true && this.#deaf === cause && this.upstream?.destroy(cause))
    this.moveBody()
  }

  /** The upstream says to go on (100). */
  goesOn(): void {
    if (!this.#asks) {
      this.client.passContinue()
      return
    }
    this.#asks = false
    this.#goOn()
  }

  /** The answer was taken as a refusal, and is whole. */
  refused(refusal: Omit<ConstructorParameters<typeof Refusal>[0], 'sent'>): void {
    this.#letGo(false)
    this.#reject(new Refusal({ ...refusal, sent: this.#begun }))
  }

  /** The upstream failed: the client is cut where it has a part of the answer. */
  failed(reason: unknown): void {
    this.#letGo(false)
    if (this.answered) this.client.cut()
    this.#reject(reason)
  }

  /** The whole answer is with the client's socket. */
  finished(reusable: boolean): void {
    const { client } = this
    const whole = client.requestBody.done && this.upstream?.outlet.isWritten === true
    this.#letGo(reusable && whole)
    if (client.outlet.isWritten) this.#end()
    else client.outlet.whenWritten(() => this.#end())
  }

  /** The client left or was cut. */
  left(reason: unknown): void {
    this.upstream?.reset() // an end alone could be that of a client that still waits
    this.#letGo(false)
    this.#gone?.abort(reason)
    this.#reject(reason)
  }

  #attempt(fresh: boolean): void {
    const { client, head, hop } = this
    if (hop === undefined) return
    const { pool, out } = client.parts
    const upstream = pool.take(hop.address, fresh, !this.hasBody && IDEMPOTENT.includes(head.method))
    this.upstream = upstream
    upstream.user = this
    this.#answer = new Answer(this, upstream, hop)
    this.#deaf = this.#waitsFor = undefined
    try {
      composeRequest(out, head, hop, client.peer)
    } catch (error) {
      out.clear()
      this.failed(error) // a header of ours that is none
      return
    }
    if (client.requestBody.done) {
      out.send(upstream.outlet)
      return
    }
    this.#asks = hop.expect === 'ask' && !head.expects
    if (this.#asks) {
      out.send(upstream.outlet)
      return
    }
    if (hop.expect === 'answer' && head.expects) this.#whenConnected(upstream, () => client.passContinue())
    this.#goOn()
  }

  /** Passes on what has been read of the body, and reads on unless that has to be written first: it may be written from where is read to. */
  #goOn(): void {
    this.moveBody()
    if (this.#waitsFor === undefined) this.client.resume()
  }

  #whenConnected(upstream: Upstream, then: () => void): void {
    if (upstream.connected) {
      then()
      return
    }
    upstream.socket.once('connect', then)
  }

  #waitForUpstream(upstream: Upstream): void {
    const { client } = this
    this.#waitsFor = upstream
    client.socket.pause()
    upstream.outlet.whenWritten(() => {
      if (this.#waitsFor !== upstream) return
      this.#waitsFor = undefined
      if (client.exchange !== this) return
      this.#goOn()
    })
  }

  #badBody(error: ShadowError): void {
    this.client.parts.out.clear()
    this.#letGo(false)
    this.client.closes = true
    if (this.answered) this.client.cut()
    this.#reject(error)
  }

  #stage(): Stage {
    if (this.upstream?.connected === false) return 'connect'
    if (this.answered) return 'body'
    return this.client.requestBody.done ? 'head' : 'send'
  }

  #letGo(reusable: boolean): void {
    const { upstream } = this
    this.upstream = this.#answer = undefined
    if (upstream === undefined) return
    if (reusable) this.client.parts.pool.give(upstream)
    else {
      upstream.user = undefined
      upstream.destroy()
    }
  }

  #end(): void {
    const settle = this.#settled()
    this.client.over(this)
    settle?.resolve()
  }

  #reject(reason: unknown): void {
    this.#settled()?.reject(reason)
  }

  #settled(): Settle | undefined {
    const settle = this.#settle
    this.#settle = undefined
    this.#signal?.removeEventListener('abort', this.#aborted)
    this.#signal = undefined
    return settle
  }

  readonly #aborted = (): void => {
    const reason = this.#signal?.reason
    this.failed(reason)
  }
}

/** All values of the header with this name, which is in lower case, as one list (RFC 9110, 5.3). */
export function listOf(head: Head, name: string): string | undefined {
  const values: string[] = []
  for (let slot = 0; slot < head.count; slot += 1) {
    const isSoLong = head.nameEnd(slot) - head.nameStart(slot) === name.length
    if (isSoLong && head.name(slot).toLowerCase() === name) values.push(head.value(slot))
  }
  return values.length === 0 ? undefined : values.join(', ')
}

export const left = (): ShadowError => new ShadowError('client-gone', 'the client left before its answer')

/** What an upstream did that failed at a stage. */
export const SAYS: Readonly<Record<Stage, string>> = {
  connect: 'takes no connection',
  send: 'closed the connection while the request was sent',
  head: 'closed the connection without an answer',
  body: 'closed the connection in the middle of its answer',
}
