import type { Failed } from '../../api/delivery.ts'
import { isFailure } from '../../lib/errors.ts'
import { Refusal } from '../../lib/http/next-hop.ts'
import type { Node } from '../../model/app.ts'
import type { Held } from '../../model/instance.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import { LOADS_READ_EVERY } from '../../model/intervals.ts'
import { problemOf } from '../failover.ts'
import type { AppInstances, Chosen } from './app-instances.ts'
import { gaugeOf } from './targets.ts'

/** By then the front has heard from the node what other fronts send to the instance. */
const FULL_FOR_MS = 300

/** One request for an app with several instances: which one it is sent to, and which ones have refused it. */
export class SpreadRequest {
  readonly #instances: AppInstances
  readonly #counts: boolean
  readonly #release: number | undefined
  readonly #refused = new Set<string>()
  #chosen: Chosen | undefined

  /** `counts`: false for a request that may not wake the app. `release`: the one that its session began with. */
  constructor(instances: AppInstances, counts: boolean, release?: number) {
    this.#instances = instances
    this.#counts = counts
    this.#release = release
  }

  /** The instance that was chosen last. */
  get instance(): InstanceId | undefined {
    return this.#chosen?.instance
  }

  known(): Node | undefined {
    this.#chosen = this.#instances.now(this.#refused, this.#counts, this.#release)
    return this.#chosen?.node
  }

  async choose(wakeOn: () => Promise<Node>, signal: AbortSignal): Promise<Node> {
    this.#chosen = await this.#instances.wait(this.#refused, this.#counts, wakeOn, signal, this.#release)
    return this.#chosen.node
  }

  /** The hold, which gives the place at the instance back when it ends. */
  hold(hold: () => Held | Promise<Held>): Held | Promise<Held> {
    const leave = this.#chosen?.leave ?? nothing
    try {
      const held = hold()
      if (!(held instanceof Promise)) return leaving(held, leave)
      return held.then(
        taken => leaving(taken, leave),
        error => {
          leave()
          throw error
        },
      )
    } catch (error) {
      leave()
      throw error
    }
  }

  /** Whether the node refused the request since the instance has its hard limit, by the requests of all fronts. */
  isFull({ target, error }: Failed<Node>): boolean {
    const isFull = error instanceof Refusal && isFailure(problemOf(error), 'instance-full')
    if (isFull && this.#chosen !== undefined) this.#instances.avoid(this.#chosen.instance, target, FULL_FOR_MS)
    return isFull
  }

  /** Whether another instance is ready for a request that this one did not take. */
  hasOther({ target }: Failed<Node>): boolean {
    if (this.#chosen === undefined) return false
    this.#refused.add(gaugeOf.instance(this.#chosen.instance, target.name))
    this.#instances.avoid(this.#chosen.instance, target, LOADS_READ_EVERY)
    return this.#instances.hasReady(this.#refused)
  }

  full(): unknown {
    return this.#instances.full()
  }
}

/** The hold with one more thing to do when it is released. Its fields stay getters, since some are read late. */
function leaving(held: Held, leave: () => void): Held {
  const release = (): void => {
    held[Symbol.dispose]()
    leave()
  }
  return Object.create(held, { [Symbol.dispose]: { value: release } })
}

const nothing = (): void => undefined
