import type { Clock } from '../lib/clock.ts'
import { ConcurrencyLimit } from '../lib/concurrency-limit.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Gauge, Gauges } from '../lib/shared/gauges.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { AppName } from '../model/names.ts'

type Options = {
  readonly clock: Clock
  /** In memory that workers share, they count together. */
  readonly gauges: Gauges
  /** The most sockets of the process: no app may have all. */
  readonly sockets: number
}

const MOST_APPS = 100_000

/** The places of each app on this node, requests and WebSockets together: fronts bound them by the app's rules, the node by what it has. */
export class NodeBounds {
  readonly #options: Options
  readonly #places = new Map<AppName, ConcurrencyLimit>()
  readonly #ofInstances = new Map<InstanceId, Gauge>()

  constructor(options: Options) {
    this.#options = options
  }

  placesOf(app: AppName): ConcurrencyLimit {
    let places = this.#places.get(app)
    if (places === undefined) {
      const { gauges, clock, sockets } = this.#options
      places = new ConcurrencyLimit(gauges.of(app), undefined, () => tooMany(app), clock)
      places.most = Math.max(1, Math.floor(sockets / 4))
      const [oldest] = this.#places.size >= MOST_APPS ? this.#places.keys() : []
      if (oldest !== undefined) this.#places.delete(oldest)
      this.#places.set(app, places)
    }
    return places
  }

  /** The requests in flight of an instance of an app that may have several. */
  ofInstance(instance: InstanceId): Gauge {
    let gauge = this.#ofInstances.get(instance)
    if (gauge === undefined) {
      gauge = this.#options.gauges.of(`${instance} instance`)
      const [oldest] = this.#ofInstances.size >= MOST_APPS ? this.#ofInstances.keys() : []
      if (oldest !== undefined) this.#ofInstances.delete(oldest)
      this.#ofInstances.set(instance, gauge)
    }
    return gauge
  }
}

/** Thrown where an instance has as many requests as its app's rules allow: the front knows of others. */
export const instanceFull = (instance: InstanceId, most: number): ShadowError =>
  new ShadowError('instance-full', `${instance} has ${most} requests in flight, its hard limit`, {
    retryAfterMs: 1_000,
  })

/** Thrown where an app has all the places that it may have. */
export const tooMany = (app: AppName): ShadowError =>
  new ShadowError('queue-full', `${app} has as many requests open as this node has sockets for`, {
    retryAfterMs: 2_000,
  })
