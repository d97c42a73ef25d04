import type { Clock } from '../lib/clock.ts'
import { ConcurrencyLimit } from '../lib/concurrency-limit.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Gauges } from '../lib/shared/gauges.ts'
import { ANSWER_WITHIN, IN_FLIGHT } from '../model/access.ts'
import type { HoldKind } from '../model/instance.ts'
import type { AppName } from '../model/names.ts'
import { toMs } from '../model/quantities.ts'
import type { Route } from '../model/route.ts'
import { concurrencyOf, spreadOf } from '../model/scale.ts'

type Options = {
  readonly clock: Clock
  /** In memory that workers share, they count together. */
  readonly gauges: Gauges
  /** Requests that may wait for one app. */
  readonly waitingPerApp: number
  /** The most sockets of the process, and of them of clients: no app may have all. */
  readonly sockets: number
  readonly connections: number
}

/** What one app is given at a time. */
export type AppBounds = {
  readonly requests: ConcurrencyLimit
  readonly webSockets: ConcurrencyLimit
  /** Streams of the front's own that follow a wake for a waiting page. */
  readonly waitingPages: ConcurrencyLimit
  /** For the first byte of an answer; undefined: no limit. */
  readonly answerWithinMs: number | undefined
}

type Counted = Omit<AppBounds, 'answerWithinMs'>

const MOST_APPS = 100_000

/**
 * Bounds what one app uses of the front, so that an app that hangs takes no sockets from other apps. Envoy calls this a circuit breaker,
 * HAProxy `maxconn` of a server.
 */
export class Bounds {
  readonly #options: Options
  // Keyed by the route object: a route that is read anew is a new object, and the old one is collected.
  readonly #known = new WeakMap<Route, AppBounds>()
  readonly #counted = new Map<AppName, Counted>()

  constructor(options: Options) {
    this.#options = options
  }

  of(app: Route): AppBounds {
    let bounds = this.#known.get(app)
    if (bounds === undefined) {
      bounds = this.#make(app)
      this.#known.set(app, bounds)
    }
    return bounds
  }

  #make(route: Route): AppBounds {
    const { name, access } = route
    const { sockets, connections } = this.#options
    const { inFlight = usualInFlight(route), answerWithin = ANSWER_WITHIN } = access ?? {}
    const counted = this.#countedOf(name)
    counted.requests.most = Math.min(inFlight, share(Math.min(sockets, connections) / 4))
    counted.webSockets.most = share(connections / 2)
    counted.waitingPages.most = share(connections / 4)
    return { ...counted, answerWithinMs: answerWithin === 'never' ? undefined : toMs(answerWithin) }
  }

  #countedOf(app: AppName): Counted {
    let counted = this.#counted.get(app)
    if (counted === undefined) {
      const { gauges, clock, waitingPerApp, connections } = this.#options
      // Those in flight and those that wait are half of all clients at most.
      const most = Math.min(waitingPerApp, share(connections / 4))
      const waiting = { gauge: gauges.of(`${app} waiting`), most }
      counted = {
        requests: new ConcurrencyLimit(gauges.of(app), waiting, () => tooMany(app, 'requests'), clock),
        webSockets: new ConcurrencyLimit(
          gauges.of(`${app} websocket`),
          undefined,
          () => tooMany(app, 'WebSockets'),
          clock,
        ),
        waitingPages: new ConcurrencyLimit(
          gauges.of(`${app} waiting page`),
          undefined,
          () => tooMany(app, 'waiting pages'),
          clock,
        ),
      }
      const [oldest] = this.#counted.size >= MOST_APPS ? this.#counted.keys() : []
      if (oldest !== undefined) this.#counted.delete(oldest)
      this.#counted.set(app, counted)
    }
    return counted
  }
}

/** The places that a request or an upgrade needs one of. */
export const placesFor = ({ requests, webSockets }: AppBounds, kind: HoldKind): ConcurrencyLimit =>
  kind === 'websocket' ? webSockets : requests

/** Several instances can be given more, and their limits bound what each one gets. */
function usualInFlight(route: Route): number {
  const scale = spreadOf(route)
  if (scale === undefined || scale.max === 1) return IN_FLIGHT
  return Math.max(IN_FLIGHT, scale.max * concurrencyOf(scale).hard)
}

const share = (of: number): number => Math.max(1, Math.floor(of))

const tooMany = (app: AppName, what: string): ShadowError =>
  new ShadowError('queue-full', `${app} has as many ${what} open as it is given, and no more may wait`, {
    retryAfterMs: 2_000,
    hint: `shadow access ${app} --in-flight`,
  })
