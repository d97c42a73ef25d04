import { fromProblem, ShadowError } from '../lib/errors.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import type { GoneUpstream, UpstreamError } from '../lib/http/next-hop.ts'
import { serverTiming } from '../lib/http/wire/server-timing.ts'
import type { EndedRun, Held, HoldKind, HoldRequest } from '../model/instance.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { NODE_HEADER, WAKE_HEADER } from './paths.ts'

/** How much of a body is read before anything reads it. */
const READ_AHEAD_BYTES = 65_536
const LONGEST_WHAT = 200

type From = (exchange: Exchange) => string | undefined

/** Headers with this prefix are Shadow's own. They are removed from requests of clients and answers of apps. */
export const OURS = 'x-shadow-'

/** The hold request of an HTTP request. It reads the exchange, so it can be used only as long as the exchange. `from` gives the client where the peer is a proxy. */
export class HttpHoldRequest implements HoldRequest {
  readonly kind: HoldKind
  readonly mayWake: boolean
  readonly #exchange: Exchange
  readonly #from: From | undefined
  readonly #going: AbortController | undefined
  readonly patienceMs: number | undefined
  readonly permit: string | undefined

  constructor(
    exchange: Exchange,
    from?: From | undefined,
    patienceMs?: number | undefined,
    permit?: string | undefined,
  ) {
    this.#exchange = exchange
    this.#from = from
    this.patienceMs = patienceMs
    this.permit = permit
    this.kind = exchange.upgrade?.toLowerCase() === 'websocket' ? 'websocket' : 'request'
    this.mayWake = exchange.header(WAKE_HEADER) !== 'never'
    if (this.kind === 'websocket') this.#going = new AbortController()
  }

  // Getters, because most requests never read these.
  get what(): string {
    const { method, target, clientAddress } = this.#exchange
    return `${method} ${target.split('?', 1)[0]} from ${this.#from?.(this.#exchange) ?? clientAddress}`.slice(
      0,
      LONGEST_WHAT,
    )
  }

  /** Aborts when the app stops: set for a WebSocket, which could stay open for days. */
  get going(): AbortSignal | undefined {
    return this.#going?.signal
  }

  goAway(): void {
    this.#going?.abort(APP_STOPS)
  }

  get bytes(): number {
    const { hasBody, headBytes } = this.#exchange
    if (!hasBody) return headBytes
    const length = Number(this.#exchange.header('content-length') ?? READ_AHEAD_BYTES)
    return headBytes + Math.min(length, READ_AHEAD_BYTES)
  }
}

const APP_STOPS = new ShadowError('app-asleep', 'the app goes to sleep')
const ONLY_NODE = new Map<NodeName, Readonly<Record<string, string>>>()

/** Headers of an answer: the node, and the times that the request waited. Usually the same object for the same node, since the forwarder caches by it. */
export function servedBy(node: NodeName, waited: Held['waited']): Readonly<Record<string, string>> {
  if (waited !== undefined) return { [NODE_HEADER]: node, 'server-timing': serverTiming(waited) }
  let headers = ONLY_NODE.get(node)
  if (headers === undefined) {
    headers = { [NODE_HEADER]: node }
    ONLY_NODE.set(node, headers)
  }
  return headers
}

/** The error of an app that is or was awake and did not serve a request that was forwarded to it. */
export function appUnreachable(app: AppName, error: UpstreamError): ShadowError {
  const cause = { cause: error }
  if (error.isRefused)
    return new ShadowError('app-bad-answer', `an answer of ${app} was refused: ${error.message}`, {
      ...cause,
      hint: `shadow why ${app}`,
    })
  if (error.isLate)
    return new ShadowError('answer-late', `${app} had the request and did not begin its answer in time`, {
      ...cause,
      hint: `shadow access ${app} --answer-within`,
    })
  return new ShadowError('app-unreachable', `${app} ${wentWrong[error.stage]}: ${error.message}`, {
    ...cause,
    hint: `shadow logs ${app}`,
  })
}

/** A run of an app that takes no more requests, in the form that forwarders need. */
export const goneUpstream = ({ run, address, problem }: EndedRun): GoneUpstream => ({
  upstream: run,
  address,
  cause: fromProblem(problem),
})

const wentWrong = {
  connect: 'refused the connection',
  send: 'cut the connection before it had the request',
  head: 'cut the connection before it answered',
  body: 'cut the connection in the middle of its answer',
} as const
