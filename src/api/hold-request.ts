import { ShadowError } from '../lib/errors.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import type { HoldKind, HoldRequest, WantedRelease } from '../model/instance.ts'
import { WAKE_HEADER } from './paths.ts'

/** How much of a body is read before anything reads it. */
const READ_AHEAD_BYTES = 65_536
const LONGEST_WHAT = 200

type From = (exchange: Exchange) => string | undefined

/** The hold request of an HTTP request. It reads the exchange, so it can be used only as long as the exchange. `from` gives the client where the peer is a proxy, `ignoredBy` the rule by which it may not wake the app. */
export class HttpHoldRequest implements HoldRequest {
  readonly kind: HoldKind
  readonly mayWake: boolean
  readonly #exchange: Exchange
  readonly #from: From | undefined
  readonly #going: AbortController | undefined
  readonly patienceMs: number | undefined
  readonly permit: string | undefined
  readonly ignoredBy: string | undefined
  readonly release: WantedRelease | undefined
  readonly trace: string | undefined
  readonly port: number | undefined

  constructor(
    exchange: Exchange,
    from?: From | undefined,
    patienceMs?: number | undefined,
    permit?: string | undefined,
    { ignoredBy, release, trace, port }: Pick<HoldRequest, 'ignoredBy' | 'release' | 'trace' | 'port'> = {},
  ) {
    this.#exchange = exchange
    this.#from = from
    this.patienceMs = patienceMs
    this.permit = permit
    this.ignoredBy = ignoredBy
    this.release = release
    this.trace = trace
    this.port = port
    this.kind = exchange.upgrade?.toLowerCase() === 'websocket' ? 'websocket' : 'request'
    this.mayWake = ignoredBy === undefined && exchange.header(WAKE_HEADER) !== 'never'
    if (this.kind === 'websocket') this.#going = new AbortController()
  }

  // Getters, because most requests never read these.
  get what(): string {
    const { method, target, clientAddress } = this.#exchange
    const at = this.port === undefined ? '' : ` at port ${this.port}`
    return `${method} ${target.split('?', 1)[0]}${at} from ${this.#from?.(this.#exchange) ?? clientAddress}`.slice(
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
