import type { Clock } from '../../lib/clock.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { Phase } from '../../model/instance.ts'
import { appOf, type InstanceId } from '../../model/instance-id.ts'
import type { AppName } from '../../model/names.ts'
import { RequestReader } from '../../model/request-counts.ts'
import type { Container, Runtime } from '../runtime/runtime.ts'
import type { Sample } from './samples.ts'

export type SamplerParts = {
  readonly runtime: Pick<Runtime, 'load'>
  /** Where the requests of an app are counted. */
  readonly requestsOf: (app: AppName) => Int32Array
  readonly keep: (sample: Sample) => void
  readonly clock: Clock
}

/** An app that is awake, or was since it was last sampled. */
type Active = {
  readonly requests: RequestReader
  readonly awake: Set<InstanceId>
  /** Since when one of its instances is awake, or up to when that was counted; by the clock. */
  countedTo: number | undefined
  /** Up to when it was sampled, by the wall clock. */
  sampledAt: number
  /** What it used since then. */
  awakeMs: number
  cpuMs: number
  /** The most that each of its containers had in use. */
  memoryBytes: Map<string, number>
}

const AT_ONCE = 16

/** Reads what the awake apps use. An app that sleeps costs nothing. */
export class Sampler {
  readonly #parts: SamplerParts
  readonly #apps = new Map<AppName, Active>()
  readonly #containers = new Map<string, Container>()
  /** The processor time of each container when it was last read. */
  readonly #cpuMs = new Map<string, number>()
  /** Containers that ran before this process: what they had used when they are first read is not counted. */
  readonly #adopted = new Set<string>()
  #sampling: Promise<void> = Promise.resolve()

  constructor(parts: SamplerParts) {
    this.#parts = parts
  }

  get isActive(): boolean {
    return this.#apps.size > 0
  }

  /** The container runs from now on. */
  started(container: Container): void {
    this.#containers.set(container.id, container)
  }

  adopted({ id }: Pick<Container, 'id'>): void {
    this.#adopted.add(id)
  }

  /** The container ends soon, or has ended: it is read a last time. */
  ended(id: string): void {
    const container = this.#containers.get(id)
    if (container !== undefined) void this.#read(container).finally(() => this.#forgetContainer(id))
  }

  phase(instance: InstanceId, phase: Phase): void {
    const app = appOf(instance)
    const active = this.#apps.get(app)
    if (phase === 'awake') {
      const now = active ?? this.#activate(app)
      now.awake.add(instance)
      now.countedTo ??= this.#parts.clock.now()
    } else if (active?.awake.delete(instance) && active.awake.size === 0) {
      this.#countAwake(active)
      active.countedTo = undefined
    }
  }

  /** Samples the apps that are awake or were since the last time; of these, if some are named. */
  sample(of?: readonly AppName[]): Promise<void> {
    const earlier = this.#sampling.catch(() => undefined) // its caller has the failure
    this.#sampling = earlier.then(() => this.#sample(of))
    return this.#sampling
  }

  forget(app: AppName): void {
    this.#apps.delete(app)
  }

  async #sample(of: readonly AppName[] | undefined): Promise<void> {
    const apps = new Set(of === undefined ? this.#apps.keys() : of.filter(app => this.#apps.has(app)))
    if (apps.size === 0) return
    const containers = [...this.#containers.values()].filter(({ instance }) => apps.has(appOf(instance)))
    await mapAtMost(AT_ONCE, containers, container => this.#read(container))
    const now = this.#parts.clock.wall()
    for (const app of apps) {
      const active = this.#apps.get(app)
      if (active !== undefined) this.#keep(app, active, now)
    }
  }

  #keep(app: AppName, active: Active, now: number): void {
    this.#countAwake(active)
    const counted = active.requests.read()
    const { awakeMs, cpuMs, memoryBytes, sampledAt } = active
    // An app that is read of just after it was sampled has nothing to add.
    if (awakeMs > 0 || counted.requests > 0)
      this.#parts.keep({
        app,
        // The middle of its time, which is in one step: samples are taken at the ends of steps, and now and then between.
        at: Math.floor((sampledAt + now) / 2_000),
        ...counted,
        ...{ awakeMs, cpuMs },
        memoryBytes: [...memoryBytes.values()].reduce((sum, bytes) => sum + bytes, 0),
      })
    active.awakeMs = 0
    active.cpuMs = 0
    active.memoryBytes = new Map()
    active.sampledAt = now
    if (active.awake.size === 0) this.#apps.delete(app)
  }

  /** Adds what the container used since it was last read. One that does not run any more is forgotten. */
  async #read(container: Container): Promise<void> {
    const { id, instance } = container
    const load = await this.#parts.runtime.load(container).catch(() => null) // the next reading has it
    if (load === null) return
    if (load === undefined) return this.#forgetContainer(id)
    const before = this.#cpuMs.get(id) ?? (this.#adopted.delete(id) ? load.cpuMs : 0)
    this.#cpuMs.set(id, load.cpuMs)
    const active = this.#apps.get(appOf(instance))
    if (active === undefined) return
    active.cpuMs += Math.max(0, load.cpuMs - before)
    active.memoryBytes.set(id, Math.max(load.memoryBytes, active.memoryBytes.get(id) ?? 0))
  }

  #forgetContainer(id: string): void {
    this.#containers.delete(id)
    this.#cpuMs.delete(id)
    this.#adopted.delete(id)
  }

  #activate(app: AppName): Active {
    const active: Active = {
      requests: new RequestReader(this.#parts.requestsOf(app)),
      awake: new Set(),
      countedTo: undefined,
      sampledAt: this.#parts.clock.wall(),
      ...{ awakeMs: 0, cpuMs: 0, memoryBytes: new Map<string, number>() },
    }
    this.#apps.set(app, active)
    return active
  }

  #countAwake(active: Active): void {
    if (active.countedTo === undefined) return
    const now = this.#parts.clock.now()
    active.awakeMs += now - active.countedTo
    active.countedTo = now
  }
}
