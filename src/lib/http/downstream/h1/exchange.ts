import { asShadowError, ShadowError } from '../../../errors.ts'
import type { Opened, OwnAnswer } from '../../exchange.ts'
import type { NextHop } from '../../next-hop.ts'
import { writeBody } from '../../sockets/buffers.ts'
import type { Tunnel } from '../../upgrade/tunnel.ts'
import type { UpstreamConnection } from '../../upstream/connection.ts'
import type { Head } from '../../wire/head.ts'
import type { ClientOrigin } from '../client-origin.ts'
import { composeTrailers } from '../compose-heads.ts'
import { ForwardedExchange, left } from '../forwarded-exchange.ts'
import { Http1Answer } from './answer.ts'
import { bodyFault } from './body-fault.ts'
import type { ClientConnection } from './exchange-connection.ts'
import { joinTunnel } from './join-tunnel.ts'
import { OwnRequest, OwnResponse } from './own-streams.ts'

/** A request of HTTP/1.1 or HTTP/1.0. Its bytes go from socket to socket. */
export class Http1Exchange extends ForwardedExchange {
  readonly client: ClientConnection
  over = false
  protected bodyBegun = false
  /** The upstream that has to take the bytes written before more of the body is read. */
  #waitsFor: UpstreamConnection | undefined
  /** The tunnel after a switch of protocols. */
  #tunnel: Tunnel | undefined
  /** The request as a stream, if a handler of ours reads it. */
  #request: OwnRequest | undefined

  constructor(client: ClientConnection, head: Head) {
    super(head, client.context)
    this.client = client
  }

  get gone(): boolean {
    return this.client.gone
  }

  get host(): string | undefined {
    const { bytes, base, hostStart, hostEnd } = this.head
    return hostStart < 0 ? undefined : this.origin.hostOf(bytes, base + hostStart, base + hostEnd)
  }

  get connection(): object {
    return this.client.socket
  }

  protected get origin(): ClientOrigin {
    return this.client.originOf(this.head)
  }

  protected get bodyDone(): boolean {
    return this.client.requestBody.done
  }

  cut(): void {
    // In HTTP/1.0 the end of the connection may end an answer. Only a reset shows that the answer is incomplete.
    if (this.answered && this.head.minor === 0) this.client.reset()
    else this.client.cut()
  }

  answer(answer: OwnAnswer): void {
    if (this.answered || this.client.gone) return
    this.client.answer(answer, this.ownHeaders)
    this.answered = true
    this.client.over(this)
  }

  async open(): Promise<Opened> {
    const { client, head, signal } = this
    if (client.gone) throw left()
    this.opened = true
    client.requestBody.start(head.requestFraming, head.contentLength, true)
    const request = new OwnRequest(this)
    const response = new OwnResponse(this, request)
    this.#request = request
    const leave = (): void => {
      request.destroy()
      response.destroy()
    }
    signal.addEventListener('abort', leave, { once: true })
    return { request, response, signal }
  }

  switched(early: Buffer): void {
    const upstream = this.giveUpstream()
    if (upstream === undefined) return
    this.answered = true
    this.#tunnel = joinTunnel(this.client, upstream, {
      context: this.context,
      protocol: this.upgrade,
      early,
      onClosed: () => {
        this.over = true
        this.arrived()
      },
    })
  }

  protected override aborted(reason: unknown): void {
    if (this.#tunnel === undefined) super.aborted(reason)
    else this.#tunnel.goAway(reason instanceof ShadowError ? reason.message : '')
  }

  /** Whether it is the client's turn to send bytes of the body. */
  get awaitsBody(): boolean {
    return this.#request?.awaitsBody ?? (this.#passesBody && !this.bodyDone)
  }

  /** Forwards the bytes of the request's body that have arrived. */
  moveBody(): void {
    const { client, upstream, hop } = this
    const { input, requestBody: body } = client
    this.#request?.moveBody()
    if (upstream === undefined || hop === undefined || !this.#passesBody) return
    if (this.writeError !== undefined) {
      client.dropBody()
      return
    }
    const { out } = client
    while (!body.done && !input.isEmpty) {
      this.bodyBegun = true
      const from = input.at
      const stop = body.take(input.bytes, from, input.end)
      const fault = bodyFault(body, this.context)
      if (fault !== undefined) {
        this.#badBody(fault)
        return
      }
      writeBody(out, upstream.writer, input.bytes, from, stop, input.lent)
      input.at = body.next
      if (body.trailers !== undefined) composeTrailers(out, body.trailers, hop)
    }
    out.send(upstream.writer)
    client.wantsBulk(!body.done && body.left > input.end)
    if (!upstream.writer.isWritten && !body.done) this.#waitFor(upstream)
  }

  protected answerFrom(upstream: UpstreamConnection, hop: NextHop): Http1Answer {
    return new Http1Answer(this, upstream, hop)
  }

  passContinue(): void {
    if (this.head.expects && !this.answered) this.client.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1')
  }

  /** Forwards what has been read of the body. Reads on, unless the bytes must be written first because they are in the read buffer. */
  protected sendBody(): void {
    this.moveBody()
    if (!this.#waits) this.client.resume()
  }

  protected dropBody(): void {
    this.moveBody()
  }

  override failed(reason: unknown): void {
    if (this.#request === undefined) super.failed(reason)
    else this.#request.destroy(asShadowError(reason)) // its reader gets the error
  }

  handedOut(): void {
    const { writer } = this.client
    if (writer.isWritten) this.#end()
    else writer.whenWritten(() => this.#end())
  }

  get #waits(): boolean {
    return this.#waitsFor !== undefined && this.#waitsFor === this.upstream
  }

  get #passesBody(): boolean {
    return this.upstream !== undefined && !this.asks && !this.#waits
  }

  #waitFor(upstream: UpstreamConnection): void {
    const { client } = this
    this.#waitsFor = upstream
    client.socket.pause()
    upstream.writer.whenWritten(() => {
      if (this.#waitsFor !== upstream) return
      this.#waitsFor = undefined
      if (client.isOn(this)) this.sendBody()
    })
  }

  #badBody(error: ShadowError): void {
    this.client.out.clear()
    this.client.closes = true
    this.failed(error)
  }

  #end(): void {
    this.arrived()
    this.client.over(this)
  }
}
