import { randomUUID } from 'node:crypto'
import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import type { InstanceView, VolumeUse } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import { type InstanceSummary, summaryOf } from '../model/instance-summary.ts'
import type { VolumeId } from '../model/names.ts'

/** How often a waiting caller's wait is looked at: a change is told within this time. */
const LOOKED_EVERY_MS = 500
/** Of so many instances that were forgotten it is known when. A caller that is further behind is told all again. */
const MOST_GONE = 1_000

type Summarised = {
  readonly id: InstanceId
  readonly phase: InstanceView['phase']
  readonly since: number
  readonly volume: VolumeId | undefined
  readonly task: { readonly revision: number }
  readonly parked: { readonly isParked: boolean }
  view(): InstanceView
}

type Options = {
  readonly instances: () => readonly Summarised[]
  /** Makes the holds of workers known to views. */
  readonly askWorkers: () => Promise<void>
  /** How full the volume was at the last check. */
  readonly useOf: (volume: VolumeId) => VolumeUse | undefined
  readonly clock: Clock
}

type Known = {
  readonly instance: Summarised
  readonly since: number
  readonly revision: number
  readonly summary: InstanceSummary
  readonly text: string
  /** The version in which it changed. */
  readonly at: number
}

/** What has changed since a version; all there is if `isWhole`. */
export type Changed = {
  readonly version: string
  readonly isWhole: boolean
  readonly items: readonly InstanceSummary[]
  readonly gone: readonly InstanceId[]
}

/**
 * Tells masters what has changed of the instances of this node. An instance at rest costs a look at a few fields; the others are summed up and
 * compared. Nothing is done while nobody asks.
 */
export class Summaries {
  readonly #options: Options
  /** Versions of another run of this node count for nothing. */
  readonly #run = randomUUID()
  readonly #known = new Map<InstanceId, Known>()
  #gone: { readonly id: InstanceId; readonly at: number }[] = []
  /** From this version on it is known what is gone. */
  #goneSince = 0
  #version = 0

  constructor(options: Options) {
    this.#options = options
  }

  /** What has changed since the version; if nothing has, it waits so long for a change. */
  async since(version: string | undefined, waitMs: number, signal: AbortSignal): Promise<Changed> {
    const { clock } = this.#options
    const until = clock.now() + waitMs
    for (;;) {
      await this.#look()
      const changed = this.#changedSince(version)
      const left = until - clock.now()
      if (changed.isWhole || changed.items.length + changed.gone.length > 0 || left <= 0) return changed
      await pause(clock, Math.min(LOOKED_EVERY_MS, left), signal)
    }
  }

  async #look(): Promise<void> {
    const { instances, askWorkers } = this.#options
    const all = instances()
    if (all.some(({ phase }) => phase === 'awake')) await askWorkers()
    const next = this.#version + 1
    let hasChanged = false
    const ids = new Set<InstanceId>()
    for (const instance of all) {
      ids.add(instance.id)
      if (this.#isAtRest(instance)) continue
      const summary = this.#summaryOf(instance)
      const text = JSON.stringify(summary)
      const before = this.#known.get(instance.id)
      const at = before?.text === text ? before.at : next
      hasChanged ||= at === next
      const { since, task } = instance
      this.#known.set(instance.id, { instance, since, revision: task.revision, summary, text, at })
    }
    for (const id of this.#known.keys()) {
      if (ids.has(id)) continue
      this.#known.delete(id)
      this.#gone.push({ id, at: next })
      hasChanged = true
    }
    if (hasChanged) this.#version = next
    const dropped = this.#gone.splice(0, Math.max(0, this.#gone.length - MOST_GONE))
    this.#goneSince = dropped.at(-1)?.at ?? this.#goneSince
  }

  /** Whether the instance rests as it did at the last look. */
  #isAtRest(instance: Summarised): boolean {
    const { id, phase, since, task, parked } = instance
    if (phase !== 'asleep' && phase !== 'crashed') return false
    const known = this.#known.get(id)
    if (known?.instance !== instance || known.since !== since || known.revision !== task.revision) return false
    return (known.summary.parked === true) === parked.isParked
  }

  #summaryOf(instance: Summarised): InstanceSummary {
    const use = instance.volume && this.#options.useOf(instance.volume)
    return summaryOf({ ...instance.view(), ...(use && { volume: use }) })
  }

  #changedSince(version: string | undefined): Changed {
    const [run, number = ''] = version?.split('.') ?? []
    const since = run === this.#run ? Number(number) : -1
    const isWhole = !(since >= this.#goneSince)
    const known = [...this.#known.values()]
    return {
      version: `${this.#run}.${this.#version}`,
      isWhole,
      items: (isWhole ? known : known.filter(({ at }) => at > since)).map(({ summary }) => summary),
      gone: isWhole ? [] : this.#gone.flatMap(({ id, at }) => (at > since && !this.#known.has(id) ? id : [])),
    }
  }
}

type Parts = {
  readonly instances: { readonly all: readonly Summarised[] }
  readonly workers: { report(): Promise<void> }
  readonly space: { useOf(volume: VolumeId): VolumeUse | undefined }
  readonly clock: Clock
}

/** The summaries of the instances of this node. */
export const nodeSummaries = ({ instances, workers, space, clock }: Parts): Summaries =>
  new Summaries({
    instances: () => instances.all,
    askWorkers: () => workers.report(),
    useOf: volume => space.useOf(volume),
    clock,
  })
