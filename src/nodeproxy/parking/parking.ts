import type { Clock } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { appOf, type InstanceId } from '../../model/instance-id.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { Instance } from '../instance.ts'
import type { ParkedContainer } from './parked-container.ts'
import type { ParkingBudget } from './parking-budget.ts'
import type { WakeRecords } from './wake-records.ts'

/** What is asked of an instance. */
export type Parkable = Pick<Instance, 'id' | 'phase' | 'since' | 'task'> & {
  readonly parked: Pick<ParkedContainer, 'isParked' | 'hasFailed' | 'park' | 'drop' | 'check'>
}

type Options = {
  /** How many apps are parked; 0: none but those that a person parks. */
  readonly most: number
  readonly budget: Pick<ParkingBudget, 'most' | 'hasPorts' | 'lackingPorts' | 'noMemory' | 'noPorts'>
  readonly instances: () => readonly Parkable[]
  /** Fails if the app may not be woken here now: it is paused, or the node drains. */
  readonly mustWake: (task: TaskDefinition) => void
  /** Whether the machine is short of memory. */
  readonly isShort: () => boolean
  readonly records: Pick<WakeRecords, 'score' | 'keep'>
  readonly clock: Clock
  readonly log: Log
}

const LOOK_EVERY_MS = 5_000
/** For so long nothing was woken before a container is made: a wake has the processors for itself. */
const QUIET_MS = 2_000
/** An app must be so much likelier than the least likely parked one to take its place. */
const BETTER = 2
const AGAIN_AFTER_MS = 60_000
/** After memory was given back, as long as a machine is usually short of it. */
const AFTER_RECLAIM_MS = 300_000

/**
 * Parks the apps that are most likely to be woken next, one at a time, while nothing else is woken. A person may park further ones, which stay parked until
 * they are woken, or may be woken no more.
 */
export class Parking implements Disposable {
  readonly #options: Options
  /** Those that were parked by this. */
  readonly #own = new Set<InstanceId>()
  /** Those that are being parked because a person asked. */
  readonly #byHand = new Set<InstanceId>()
  /** Instances that could not be parked: by which revision, and when that is tried again. */
  readonly #failed = new Map<InstanceId, { readonly revision: number; readonly until: number }>()
  #timer: Disposable | undefined
  #working: Promise<void> | undefined
  #notBefore = Number.NEGATIVE_INFINITY
  /** For the log. */
  readonly what = 'parked containers'

  constructor(options: Options) {
    this.#options = options
  }

  start(): void {
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.start()
      this.#working ??= this.#look().finally(() => {
        this.#working = undefined
      })
    })
  }

  get parked(): number {
    return this.#options.instances().filter(({ parked }) => parked.isParked).length
  }

  /** Gives back the container of the app that is least likely to be woken, for want of memory; false where there is none. */
  async reclaim(): Promise<boolean> {
    const { clock } = this.#options
    this.#notBefore = clock.now() + AFTER_RECLAIM_MS
    const [least] = this.#byScore(this.#options.instances().filter(({ parked }) => parked.isParked)).toReversed()
    if (least === undefined) return false
    await this.#drop(least, 'memory')
    return true
  }

  /** Has an instance parked because a person asked: others that nobody asked for give way. Fails with `not-parkable`, `addresses-full`. */
  async byHand({ id }: Pick<Parkable, 'id'>, park: () => Promise<void>): Promise<void> {
    const { budget } = this.#options
    if (!(await budget.hasPorts())) throw budget.noPorts(appOf(id))
    // No await between this and the look at the others: two calls would both take the last place.
    this.#byHand.add(id)
    try {
      await this.#makeRoom(id)
      await park()
    } finally {
      this.#byHand.delete(id)
    }
  }

  /** Drops instances that were parked by this until there is room for one more by hand. */
  async #makeRoom(id: InstanceId): Promise<void> {
    const { budget, instances } = this.#options
    const all = instances()
    const isMore = ({ id: other, parked }: Parkable): boolean =>
      other !== id && (parked.isParked || this.#own.has(other) || this.#byHand.has(other))
    const others = all.filter(isMore)
    const tooMany = others.length + 1 - budget.most
    const yielding = this.#byScore(others.filter(other => this.#own.has(other.id) && !this.#byHand.has(other.id)))
    if (tooMany > yielding.length) throw budget.noMemory(appOf(id))
    const why = 'an app that is parked by hand needs its memory'
    await Promise.all(yielding.slice(yielding.length - Math.max(0, tooMany)).map(other => this.#drop(other, why)))
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }

  async #look(): Promise<void> {
    const { instances, mustWake, records, clock } = this.#options
    const all = instances()
    for (const instance of all) {
      instance.parked.check()
      if (!instance.parked.isParked) this.#own.delete(instance.id)
      else if (!isAllowed(() => mustWake(instance.task))) await this.#drop(instance, 'it may not be woken')
    }
    await this.#giveBackPorts()
    if (this.#isQuiet(all)) await this.#parkNext(all)
    await records.keep(clock.wall())
  }

  async #giveBackPorts(): Promise<void> {
    const { instances, budget } = this.#options
    const lacking = await budget.lackingPorts()
    const parked = this.#byScore(instances().filter(one => one.parked.isParked))
    for (const instance of parked.slice(Math.max(0, parked.length - lacking)))
      await this.#drop(instance, 'wakes need its network')
  }

  #isQuiet(all: readonly Parkable[]): boolean {
    const { isShort, clock } = this.#options
    const now = clock.now()
    if (now < this.#notBefore || isShort()) return false
    return !all.some(
      ({ phase, since }) => phase === 'waking' || phase === 'stopping' || (phase === 'awake' && now - since < QUIET_MS),
    )
  }

  async #parkNext(all: readonly Parkable[]): Promise<void> {
    const { budget, log } = this.#options
    const hasPorts = await budget.hasPorts()
    const byHand = all.filter(({ id, parked }) => (parked.isParked && !this.#own.has(id)) || this.#byHand.has(id))
    const most = Math.max(0, Math.min(this.#options.most, budget.most - byHand.length))
    const own = this.#byScore(all.filter(({ id }) => this.#own.has(id)))
    for (const instance of own.slice(most)) await this.#drop(instance, 'too many are parked')
    if (most === 0) return
    const [next] = this.#byScore(all.filter(instance => this.#mayBe(instance)))
    if (next === undefined || !hasPorts) return
    const least = own.at(most - 1)
    if (least !== undefined) {
      if (this.#score(next) < BETTER * this.#score(least)) return
      await this.#drop(least, 'another app is likelier to be woken')
    }
    const { revision } = next.task
    try {
      this.#own.add(next.id)
      await next.parked.park()
      log.info('app parked', { app: appOf(next.id) })
    } catch (cause) {
      this.#own.delete(next.id)
      if (next.phase !== 'asleep') return // it is being woken, which has called this off
      const isForGood = isFailure(cause, 'not-parkable')
      const until = isForGood ? Number.POSITIVE_INFINITY : this.#options.clock.now() + AGAIN_AFTER_MS
      this.#failed.set(next.id, { revision, until })
      log.debug('app not parked', { app: appOf(next.id), cause })
    }
  }

  #mayBe(instance: Parkable): boolean {
    const { id, phase, parked, task } = instance
    if (phase !== 'asleep' || parked.isParked || parked.hasFailed || this.#score(instance) === 0) return false
    const failed = this.#failed.get(id)
    if (failed?.revision === task.revision && this.#options.clock.now() < failed.until) return false
    this.#failed.delete(id)
    return isAllowed(() => this.#options.mustWake(task))
  }

  async #drop({ id, parked }: Parkable, why: string): Promise<void> {
    this.#own.delete(id)
    await parked.drop().catch(cause => this.#options.log.warn('app not unparked', { app: appOf(id), cause }))
    this.#options.log.info('app unparked', { app: appOf(id), why })
  }

  #score({ id }: Parkable): number {
    return this.#options.records.score(id, this.#options.clock.wall())
  }

  /** The likeliest first. */
  #byScore(all: readonly Parkable[]): readonly Parkable[] {
    const scores = new Map(all.map(instance => [instance, this.#score(instance)]))
    return all.toSorted((a, b) => (scores.get(b) ?? 0) - (scores.get(a) ?? 0))
  }
}

function isAllowed(check: () => void): boolean {
  try {
    check()
    return true
  } catch {
    return false // why is told to whoever wakes it
  }
}
