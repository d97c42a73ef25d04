import type { Clock } from '../lib/clock.ts'
import type { App } from '../model/app.ts'
import type { InstanceLoad } from '../model/instance.ts'
import { appOf } from '../model/instance-id.ts'
import type { AppName } from '../model/names.ts'
import type { NodeBounds } from './bounds.ts'
import type { Instance } from './instance.ts'
import type { Runtime } from './runtime/runtime.ts'

type Parts = {
  readonly instances: () => readonly Instance[]
  readonly known: (app: AppName) => App | undefined
  readonly runtime: Pick<Runtime, 'cpuMs'>
  readonly bounds: Pick<NodeBounds, 'ofInstance'>
  readonly clock: Clock
}

/** What was measured last of a container. */
type Measured = { readonly at: number; readonly usedMs: number; readonly cpu: number | undefined }

// Several fronts ask, each every two seconds: a shorter time would measure little more than chance.
const MEASURED_OVER_MS = 1_000

/** The load of the awake instances of this node whose apps may have several: for fronts, which decide how many there are. */
export class Loads {
  readonly #parts: Parts
  #measured = new Map<string, Measured>()
  #reading: Promise<readonly InstanceLoad[]> | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Callers at the same time share one reading. */
  now(): Promise<readonly InstanceLoad[]> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #read(): Promise<readonly InstanceLoad[]> {
    const { instances, known, bounds } = this.#parts
    const before = this.#measured
    this.#measured = new Map()
    const scaled = instances().filter(({ id }) => known(appOf(id))?.scale !== undefined)
    const loads = await Promise.all(
      scaled.map(async ({ id, running, staying }) => {
        if (running === undefined) return []
        const cpu = await this.#cpuOf(running, before)
        const formers = staying.length > 0 && { formers: staying }
        return [{ instance: id, inFlight: bounds.ofInstance(id).used, ...formers, ...(cpu !== undefined && { cpu }) }]
      }),
    )
    return loads.flat()
  }

  async #cpuOf(
    { container, task }: NonNullable<Instance['running']>,
    before: ReadonlyMap<string, Measured>,
  ): Promise<number | undefined> {
    const last = before.get(container.id)
    const at = this.#parts.clock.now()
    if (last !== undefined && at - last.at < MEASURED_OVER_MS) {
      this.#measured.set(container.id, last)
      return last.cpu
    }
    const usedMs = await this.#parts.runtime.cpuMs(container)
    if (usedMs === undefined) return undefined
    const cpu = last && (usedMs - last.usedMs) / (at - last.at) / task.limits.cpus
    this.#measured.set(container.id, { at, usedMs, cpu })
    return cpu
  }
}
