import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../clock.ts'
import { passOn, passOnHint, refusalOf, switchOver } from './answer.ts'
import { type RequestHead, requestHead, strips } from './heads.ts'
import { type Hop, UpstreamError } from './hop.ts'
import { leaving } from './leaving.ts'
import { splice } from './splice.ts'
import { Upload } from './upload.ts'
import { type Attempt, type Reply, Upstreams } from './upstream.ts'

export { type Hop, Refusal, UpstreamError } from './hop.ts'

export type ForwarderOptions = {
  readonly clock: Clock
  /** An upstream that takes longer to accept a connection counts as unreachable. */
  readonly connectWithinMs?: number
  /** A client that neither takes nor gives a byte for so long, though it should, is cut. */
  readonly stalledAfterMs?: number
  /** A WebSocket's client that is silent for so long is pinged, and cut if it stays silent as long again. */
  readonly pingEveryMs?: number
}

/**
 * Forwards requests and upgrades, streaming both ways. Give it the request and response of a `strictServer`, which makes no
 * difference between the two.
 */
export class Forwarder implements Disposable {
  readonly #clock: Clock
  readonly #upstreams: Upstreams
  readonly #stalledAfterMs: number
  readonly #pingEveryMs: number

  constructor({ clock, connectWithinMs = 5_000, stalledAfterMs = 300_000, pingEveryMs = 30_000 }: ForwarderOptions) {
    this.#clock = clock
    this.#upstreams = new Upstreams({ clock, connectWithinMs })
    this.#stalledAfterMs = stalledAfterMs
    this.#pingEveryMs = pingEveryMs
  }

  /**
   * Resolves when the last byte is with the client (for an upgrade: when both sides have closed). Rejects with `UpstreamError` or
   * `Refusal`; with a ShadowError `client-gone` where the client left or stalled; with the signal's reason. Where
   * `response.headersSent` by then, the client's connection was cut. Otherwise nothing was answered and the caller does.
   */
  async forward(request: IncomingMessage, response: ServerResponse, hop: Hop, signal: AbortSignal): Promise<void> {
    const upstream = await this.#forward(request, response, hop, signal)
    if (upstream === undefined) return
    const client = switchOver(upstream.message, response, hop)
    if (upstream.switched.head.length > 0) upstream.switched.socket.unshift(upstream.switched.head)
    const isWebSocket = upstream.message.headers.upgrade?.toLowerCase() === 'websocket'
    await splice(client, upstream.switched.socket, {
      clock: this.#clock,
      pingEveryMs: isWebSocket ? this.#pingEveryMs : undefined,
      stalledAfterMs: this.#stalledAfterMs,
      signal,
    })
  }

  /** Closes the idle connections to an upstream that is going away: another may get its address. */
  forget(address: string): void {
    this.#upstreams.forget(address)
  }

  [Symbol.dispose](): void {
    this.#upstreams[Symbol.dispose]()
  }

  /** Forwards all but what comes after a switch of protocols; gives the upstream's side of that. */
  async #forward(
    request: IncomingMessage,
    response: ServerResponse,
    hop: Hop,
    signal: AbortSignal,
  ): Promise<Switched | undefined> {
    const upload = new Upload(request, strips(hop))
    using client = leaving({
      socket: request.socket,
      signal,
      clock: this.#clock,
      stalledAfterMs: this.#stalledAfterMs,
      owes: () => upload.waitsForClient,
    })
    const exchange = { request, response, hop, upload, head: requestHead(request, hop), signal: client.signal }
    let attempt = this.#attempt(exchange, false)
    try {
      let reply: Reply
      try {
        reply = await attempt.reply
      } catch (error) {
        if (!mayRepeat(error, attempt, exchange)) throw error
        upload.stop(false)
        attempt = this.#attempt(exchange, true)
        reply = await attempt.reply
      }
      const { message, switched } = reply
      if ((message.statusCode ?? 0) >= 400 && hop.refusal?.(message.headers))
        throw await refusalOf(message, upload.begun, client.signal)
      if (switched !== undefined) return { message, switched }
      await passOn(message, response, { hop, signal: client.signal })
      return undefined
    } catch (error) {
      attempt.upstream.destroy()
      throw client.signal.aborted ? client.signal.reason : error
    } finally {
      upload.stop(response.writableEnded)
      // Answered before it had the whole request: the connection is not good for another.
      if (exchange.head.hasBody && !upload.done) attempt.upstream.destroy()
    }
  }

  /** Sends the request once; a fresh connection is one that no request was sent on. */
  #attempt({ request, response, hop, upload, head, signal }: Exchange, fresh: boolean): Attempt {
    let wentOn = !head.asks
    const attempt = this.#upstreams.send({
      address: hop.address,
      head,
      fresh,
      mayHaveBegun: () => wentOn,
      bodySent: () => !head.hasBody || upload.done,
    })
    const { upstream } = attempt
    const leave = (): void => void upstream.destroy()
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave, { once: true })
    upstream
      .on('close', () => signal.removeEventListener('abort', leave))
      .on('information', hint => passOnHint(hint, response, hop))
      .on('continue', () => {
        if (!head.asks) return response.writeContinue()
        wentOn = true
        upload.start(upstream)
      })
    if (hop.expect === 'answer' && head.hasBody && request.headers.expect !== undefined)
      whenConnected(upstream, () => response.writeContinue())
    if (!head.hasBody) upstream.end()
    else if (!head.asks) upload.start(upstream)
    return attempt
  }
}

type Exchange = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly hop: Hop
  readonly head: RequestHead
  readonly upload: Upload
  readonly signal: AbortSignal
}

type Switched = Reply & { readonly switched: NonNullable<Reply['switched']> }

// RFC 9110, 9.2.2.
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/**
 * Whether a request may be sent once more: an upstream may close a kept-alive connection just as a request is sent on it. Never
 * where it may have begun on something that must not happen twice (RFC 9110, 9.2.2), or bytes of the body are gone.
 */
function mayRepeat(error: unknown, { upstream }: Attempt, { head, upload, signal }: Exchange): boolean {
  if (!(error instanceof UpstreamError) || !upstream.reusedSocket || upload.begun || signal.aborted) return false
  return !error.sent || IDEMPOTENT.has(head.method)
}

function whenConnected(upstream: ClientRequest, then: () => void): void {
  upstream.once('socket', socket => (socket.connecting ? socket.once('connect', then) : then()))
}
