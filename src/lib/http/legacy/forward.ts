import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../../clock.ts'
import { ShadowError } from '../../errors.ts'
import { Counters } from '../counters.ts'
import { LIMITS, type Limits, tooLarge } from '../guard/limits.ts'
import { Sockets } from '../guard/socket-budget.ts'
import { Outlet } from '../sockets/socket-writer.ts'
import { Splice } from '../upgrade/tunnel.ts'
import type { End } from '../upgrade/tunnel-direction.ts'
import { type Hop, UpstreamError } from '../upstream-target.ts'
import { isIdempotent } from '../wire/methods.ts'
import { passOn, passOnHint, refusalOf, switchOver } from './answer.ts'
import { type RequestHead, requestHead, stripsFolded } from './heads.ts'
import { leaving } from './leaving.ts'
import { Upload } from './upload.ts'
import { type Attempt, type Reply, Upstreams } from './upstream.ts'

export type ForwarderOptions = {
  readonly clock: Clock
  /** An upstream that takes longer to accept a connection counts as unreachable. */
  readonly connectWithinMs?: number
  readonly limits?: Partial<Limits>
  readonly counters?: Counters
  readonly sockets?: Sockets
  /** A WebSocket's client that is silent for so long is pinged, and cut if it stays silent as long again. */
  readonly pingEveryMs?: number
  /** Whether what was switched to is read into memory that is used again, where this Node can. */
  readonly reusesMemory?: boolean
}

/**
 * Forwards requests and upgrades, streaming both ways. Give it the request and response of a `strictServer`, which makes no
 * difference between the two.
 */
export class Forwarder implements Disposable {
  readonly #clock: Clock
  readonly #upstreams: Upstreams
  readonly #limits: Limits
  readonly #counters: Counters
  readonly #pingEveryMs: number
  readonly #splices = new Set<Splice>()
  #drains = false

  constructor(options: ForwarderOptions) {
    const { clock, connectWithinMs = 5_000, pingEveryMs = 30_000, counters = new Counters() } = options
    const { sockets = new Sockets({}, () => 0) } = options
    this.#clock = clock
    this.#upstreams = new Upstreams({ clock, connectWithinMs, counters, sockets })
    this.#limits = { ...LIMITS, ...options.limits }
    this.#counters = counters
    this.#pingEveryMs = pingEveryMs
  }

  /**
   * Resolves when the last byte is with the client (for an upgrade: when both sides have closed). Rejects with `UpstreamError` or
   * `Refusal`; with a ShadowError as `Exchange.forward` does; with the signal's reason. Where
   * `response.headersSent` by then, the client's connection was cut. Otherwise nothing was answered and the caller does.
   */
  forward(request: IncomingMessage, response: ServerResponse, hop: Hop, signal: AbortSignal): Promise<void> {
    // No async function, which would hold the request and its answer for as long as a WebSocket is open.
    return this.#forward(request, response, hop, signal).then(upstream =>
      upstream === undefined ? undefined : this.#switch(upstream, response, hop, signal),
    )
  }

  /** Ends what was switched to, and what will be, telling the clients of WebSockets. */
  drain(): void {
    this.#drains = true
    for (const splice of this.#splices) splice.goAway()
  }

  /** Closes the connections to an upstream that is gone. */
  forget(upstream: string): void {
    this.#upstreams.forget(upstream)
  }

  [Symbol.dispose](): void {
    this.#upstreams[Symbol.dispose]()
  }

  #switch({ message, switched }: Switched, response: ServerResponse, hop: Hop, signal: AbortSignal): Promise<void> {
    const client = switchOver(message, response, hop)
    const { socket, head } = switched
    socket.removeAllListeners() // the request that it was opened for is over
    if (head.length > 0) socket.unshift(head)
    this.#counters.answered(101)
    return this.#splice(client, socket, message.headers.upgrade, signal)
  }

  #splice(client: Socket, upstream: Socket, protocol: string | undefined, signal: AbortSignal): Promise<void> {
    const isWebSocket = protocol?.toLowerCase() === 'websocket'
    if (isWebSocket) {
      this.#counters.webSockets += 1
      this.#counters.webSocketsOpen += 1
    }
    return new Promise(resolve => {
      const onClosed = (): void => {
        this.#splices.delete(splice)
        signal.removeEventListener('abort', goAway)
        if (isWebSocket) this.#counters.webSocketsOpen -= 1
        resolve()
      }
      const splice = new Splice(endOf(client), endOf(upstream), {
        clock: this.#clock,
        pingEveryMs: isWebSocket ? this.#pingEveryMs : undefined,
        stalledAfterMs: this.#limits.stalledAfterMs,
        onLate: () => {
          this.#counters.lateSwitched += 1
        },
        onClosed,
      })
      for (const [socket, flow] of [
        [client, splice.up],
        [upstream, splice.down],
      ] as const)
        socket
          .on('error', () => undefined)
          .on('data', (chunk: Buffer) => flow.received(chunk, chunk.length, false))
          .on('end', () => flow.ended())
          .resume()
      const goAway = (): void => splice.goAway(signal.reason instanceof ShadowError ? signal.reason.message : '')
      this.#splices.add(splice)
      signal.addEventListener('abort', goAway, { once: true })
      if (signal.aborted || this.#drains) goAway()
    })
  }

  /** Forwards all but what comes after a switch of protocols; gives the upstream's side of that. */
  async #forward(
    request: IncomingMessage,
    response: ServerResponse,
    hop: Hop,
    signal: AbortSignal,
  ): Promise<Switched | undefined> {
    const { bodyBytes } = this.#limits
    const upload = new Upload(request, stripsFolded(hop), bodyBytes, () => {
      this.#counters.bodiesTooLarge += 1
      client.end(tooLarge(bodyBytes))
    })
    using client = leaving({
      socket: request.socket,
      signal,
      clock: this.#clock,
      limits: this.#limits,
      owes: () => upload.waitsForClient,
      onSlow: late => {
        if (late) this.#counters.slowBodies += 1
        else this.#counters.slowReaders += 1
        return late && !response.headersSent
          ? new ShadowError('too-slow', 'the rest of the request came too slowly, or not at all')
          : new ShadowError('client-gone', 'the client took and gave bytes too slowly, or none at all')
      },
    })
    const exchange = { request, response, hop, upload, head: requestHead(request, hop), signal: client.signal }
    let attempt = this.#attempt(exchange, false)
    try {
      let reply: Reply
      try {
        reply = await this.#inTime(attempt, exchange)
      } catch (error) {
        if (!mayRepeat(error, attempt, exchange)) throw error
        await hop.alive?.() // its end is what the client hears of
        client.signal.throwIfAborted()
        upload.stop(false)
        this.#counters.repeated += 1
        attempt = this.#attempt(exchange, true)
        reply = await this.#inTime(attempt, exchange)
      }
      const { message, switched } = reply
      if ((message.statusCode ?? 0) >= 400 && hop.refusal?.(message.headers))
        throw await refusalOf(message, upload.begun, client.signal)
      if (switched !== undefined) return { message, switched }
      await passOn(message, response, { hop, signal: client.signal })
      return undefined
    } catch (error) {
      if (error instanceof UpstreamError && !client.signal.aborted) this.#counters.failed(error.stage)
      attempt.upstream.destroy()
      throw client.signal.aborted ? client.signal.reason : error
    } finally {
      upload.stop(response.writableEnded)
      // Answered before it had the whole request: the connection is not good for another.
      if (exchange.head.hasBody && !upload.done) attempt.upstream.destroy()
    }
  }

  /** The reply, which must begin as soon as the hop says. */
  #inTime({ upstream, reply }: Attempt, { hop, head, upload }: Exchange): Promise<Reply> {
    const { answerWithinMs } = hop
    if (answerWithinMs === undefined) return reply
    return new Promise((resolve, reject) => {
      let alarm: Disposable
      const look = (): void => {
        if (head.hasBody && !upload.done) {
          alarm = this.#clock.after(answerWithinMs, look)
          return
        }
        this.#counters.lateAnswers += 1
        reject(UpstreamError.late(hop))
        upstream.destroy()
      }
      alarm = this.#clock.after(answerWithinMs, look)
      reply.then(resolve, reject).finally(() => alarm[Symbol.dispose]())
    })
  }

  /** Sends the request once; a fresh connection is one that no request was sent on. */
  #attempt({ request, response, hop, upload, head, signal }: Exchange, fresh: boolean): Attempt {
    let wentOn = !head.asks
    const attempt = this.#upstreams.send({
      address: hop.address,
      name: hop.upstream ?? hop.address,
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
        if (!head.asks) {
          if (request.headers.expect !== undefined && request.httpVersion === '1.1') response.writeContinue()
          return
        }
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

/**
 * Whether a request may be sent once more: an upstream may close a kept-alive connection just as a request is sent on it. Never
 * where it may have begun on something that must not happen twice (RFC 9110, 9.2.2), or bytes of the body are gone.
 */
function mayRepeat(error: unknown, { upstream }: Attempt, { head, upload, signal }: Exchange): boolean {
  if (!(error instanceof UpstreamError) || error.isLate || !upstream.reusedSocket || upload.begun || signal.aborted)
    return false
  return !error.sent || isIdempotent(head.method)
}

const endOf = (socket: Socket): End => ({
  socket,
  outlet: new Outlet(socket, cause => void socket.destroy(cause)),
  intake: undefined,
})

function whenConnected(upstream: ClientRequest, then: () => void): void {
  upstream.once('socket', socket => (socket.connecting ? socket.once('connect', then) : then()))
}
