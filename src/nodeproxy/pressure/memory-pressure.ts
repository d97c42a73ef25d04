import type { Clock } from '../../lib/clock.ts'
import { asShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { readMemory, readMemoryStalls } from '../../lib/memory.ts'
import { repeat } from '../../lib/repeat.ts'
import type { Phase } from '../../model/instance.ts'
import { type InstanceId, logFields } from '../../model/instance-id.ts'
import type { MemoryFloor } from './memory-floor.ts'
import { nextStep, type Step, type Yielding } from './next-step.ts'
import { type MemorySample, PressureLevel, type Shortage } from './pressure-level.ts'
import { StepRecord } from './step-record.ts'

/** An instance as the memory pressure sees it. */
export type PressedInstance = {
  readonly id: InstanceId
  readonly phase: Phase
  /** Since when it is in this phase, by the clock. */
  readonly since: number
  /** undefined: it gives nothing, because it is in use, is at rest, or may not be put to sleep. */
  readonly yields: Yielding | undefined
  /** Steps it down, unless it was used since `idleSince`; false: it was. */
  stepDown(to: Step['to'], idleSince: number): Promise<boolean>
}

/** What is given back before any instance is: memory that only serves to be quicker later. */
export type Reclaimer = {
  /** For the log. */
  readonly what: string
  /** Gives one of them back; false where there is none. */
  reclaim(): Promise<boolean>
}

type Options = {
  readonly floor: MemoryFloor
  readonly instances: () => readonly PressedInstance[]
  /** In this order; left out: there are none. */
  readonly reclaimers?: readonly Reclaimer[]
  readonly clock: Clock
  readonly log: Log
  readonly sample?: () => Promise<MemorySample>
}

export type PressureCounts = Record<Step['to'] | 'reclaimed', number>

const LOOK_EVERY_MS = 2_000
/** How long after a step the stalls are not looked at again: they are an average over ten seconds. */
const LATE_MS = 10_000
/** A step that takes longer, such as the end of an app with a long grace, goes on while others are taken. */
const STEP_WITHIN_MS = 15_000

/**
 * Looks at the memory of this machine, and steps down instances that nobody uses while it is short: one at a time, the longest unused first, and
 * looks again after each. One in use is never stepped down.
 */
export class MemoryPressure implements Disposable {
  readonly #options: Options
  readonly #level: PressureLevel
  readonly #record = new StepRecord()
  readonly counts: PressureCounts = { suspended: 0, asleep: 0, reclaimed: 0 }
  /** The instances whose step has not ended. */
  readonly #underWay = new Set<InstanceId>()
  #lateUntil = Number.NEGATIVE_INFINITY
  #isHelpless = false
  #repeated: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
    this.#level = new PressureLevel(options.floor)
  }

  /** Whether the machine was short of memory at the last look. */
  get isShort(): boolean {
    return this.#level.isShort
  }

  /** Looks every two seconds from now on, until it is disposed of. */
  start(): void {
    const { clock, log } = this.#options
    this.#repeated = repeat(
      clock,
      LOOK_EVERY_MS,
      () => this.look(),
      cause => log.warn('memory not looked at', { cause }),
    )
  }

  /** Looks once, and takes one step at most. */
  async look(): Promise<void> {
    const { instances, clock, sample = sampleMemory } = this.#options
    const found = await sample()
    const shortage = this.#level.look(found)
    const now = clock.now()
    const all = instances()
    this.#record.look(all, now)
    if (shortage === undefined) this.#isHelpless = false
    if (shortage === undefined || (shortage.isLate && now < this.#lateUntil)) return
    this.#lateUntil = now + LATE_MS
    if (await this.#reclaim(shortage)) return
    const candidates = all.flatMap(({ id, yields }) =>
      yields === undefined || this.#record.isSpared(id) || this.#underWay.has(id) ? [] : [{ id, ...yields }],
    )
    const step = nextStep(candidates, found.memory, now)
    if (step === undefined) this.#helpless(shortage)
    else await this.#within(STEP_WITHIN_MS, this.#take(step, shortage))
  }

  async #within(ms: number, step: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    using _ = this.#options.clock.after(ms, resolve)
    await Promise.race([step, promise])
  }

  async #reclaim({ why }: Shortage): Promise<boolean> {
    const { reclaimers = [], log } = this.#options
    for (const { what, reclaim } of reclaimers) {
      const isDone = await reclaim().catch(cause => {
        log.warn('memory not given back', { what, cause })
        return false
      })
      if (!isDone) continue
      this.counts.reclaimed += 1
      log.info('memory given back', { what, why })
      return true
    }
    return false
  }

  async #take({ id, to, idleSince }: Step, { why }: Shortage): Promise<void> {
    const { instances, clock, log } = this.#options
    this.#isHelpless = false
    const at = clock.now()
    this.#underWay.add(id)
    try {
      const isDone = await instances()
        .find(one => one.id === id)
        ?.stepDown(to, idleSince)
      if (isDone !== true) return
    } catch (error) {
      log.warn('app not stepped down', { ...logFields(id), to, detail: asShadowError(error).message })
      return
    } finally {
      this.#underWay.delete(id)
    }
    this.#record.stepped(id, at)
    this.counts[to] += 1
    log.info('app stepped down', { ...logFields(id), to, why })
  }

  /** Nobody gives anything: that is said once in each shortage. */
  #helpless({ why }: Shortage): void {
    if (this.#isHelpless) return
    this.#isHelpless = true
    this.#options.log.warn('memory short, and no app to step down', { why })
  }

  [Symbol.dispose](): void {
    this.#repeated?.[Symbol.dispose]()
  }
}

async function sampleMemory(): Promise<MemorySample> {
  const [memory, stalls] = [readMemory(), readMemoryStalls()]
  return { memory, stalls }
}
