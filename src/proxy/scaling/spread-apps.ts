import type { AppName } from '../../model/names.ts'
import type { Route } from '../../model/route.ts'
import { spreadOf } from '../../model/scale.ts'
import { AppInstances, type Parts } from './app-instances.ts'

const MOST_APPS = 10_000

/** The apps whose requests one thread of a front spreads over several instances. */
export class SpreadApps {
  readonly #parts: Parts
  readonly #apps = new Map<AppName, AppInstances>()

  constructor(parts: Parts) {
    this.#parts = parts
    parts.targets.onChange(app => this.#apps.get(app)?.changed())
  }

  /** The instances of the app; undefined if all its requests go to its plain one. */
  of(route: Route): AppInstances | undefined {
    if (spreadOf(route) === undefined) return undefined
    let instances = this.#apps.get(route.name)
    if (instances === undefined) {
      const [oldest] = this.#apps.size >= MOST_APPS ? this.#apps.keys() : []
      if (oldest !== undefined) this.#apps.delete(oldest)
      instances = new AppInstances(route, this.#parts)
      this.#apps.set(route.name, instances)
    }
    instances.use(route)
    return instances
  }
}
