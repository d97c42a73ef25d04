import { totalmem } from 'node:os'
import { ShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { readMemory } from '../lib/memory.ts'
import { Mutex } from '../lib/mutex.ts'
import { type InstanceId, logFields, type RunKey } from '../model/instance-id.ts'
import type { VolumeId } from '../model/names.ts'
import { type MemoryFacts, reservedBy, type VolumeSlots } from '../model/placement.ts'
import { sayBytes, toBytes } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'

/** An awake instance without holds. */
export type IdleInstance = {
  readonly instance: InstanceId
  readonly idleSince: number
  /** Puts it to sleep, unless it is in use again. */
  makeRoom(): Promise<void>
}

type Options = {
  /** Apps may reserve so many times the memory that there is. */
  readonly overcommit: number
  /** How many volumes may be attached at a time. */
  readonly volumeSlots: number
  readonly idle: () => readonly IdleInstance[]
  /** Detaches volumes that no app uses any more, until at most so many are attached besides this one; left out: there are none. */
  readonly giveUpSlots?: ((most: number, besides: VolumeId) => Promise<void>) | undefined
  readonly log: Log
  readonly totalBytes?: number
  readonly availableBytes?: () => Promise<number>
}

/** What one container of an instance has taken. `mostBytes`: the most that its sleep may make available. */
type Taken = {
  readonly bytes: number
  readonly mostBytes: number
  readonly hasVolume: boolean
  /** Its memory is in swap: its sleep makes little available. */
  readonly isShrunk?: boolean
}
/** What a wake lacks; 0 or less: nothing. */
type Shortage = { readonly reserve: number; readonly available: number; readonly slots: number }

const RETRY_AFTER_MS = 5_000

/**
 * The room for awake apps: memory and volume slots. A wake needs three things: the sum of all reserves fits into the memory of this machine,
 * the reserve of the app is free now, and a volume slot is free if the app has a volume. Otherwise idle instances are put to sleep, the
 * longest idle first; those that are suspended come last where memory is missing. If all of them together could not give enough, the wake is refused at once and none of them is put to sleep.
 * So the kernel never has to kill a process. The reserve of an app (`--reserve`) is not its limit (`--memory`).
 */
export class Room {
  readonly #options: Options
  readonly #taken = new Map<RunKey, Taken>()
  /** Instances that are being put to sleep to make room. */
  readonly #leaving = new Set<InstanceId>()
  readonly #mutex = new Mutex()

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * Lets the instance take what it needs; fails with `no-memory` or `no-volume-slot`. Taken already is success. `key`: which of its containers
   * takes it; left out: the usual one. An instance is never put to sleep to make room for a container of its own.
   */
  async admit(instance: InstanceId, task: TaskDefinition, signal: AbortSignal, key: RunKey = instance): Promise<void> {
    const wanted = takenBy(task)
    // Before its turn, which comes only after others have made room: a wake that cannot fit need not wait for that.
    // What could be given is looked up first: what leaves while the memory is read counts on both sides, so nothing is refused by mistake.
    const others = this.#idle().flatMap(idle => (idle.instance === instance ? [] : idle.instance))
    const givers = this.#of([...others, ...this.#leaving, key])
    const early = this.#shortage(wanted, await this.#availableBytes())
    if (isShort(early) && !wouldDo(early, givers)) throw this.#refusal(task, wanted, early)
    return this.#mutex.take(async () => {
      const before = this.#taken.get(key)
      this.#taken.delete(key)
      try {
        await this.#makeRoom(instance, task, signal)
        this.#taken.set(key, wanted)
      } catch (error) {
        if (before?.isShrunk === true) this.#taken.set(key, before) // it stays suspended
        throw error
      }
    })
  }

  /** Puts idle instances to sleep until what the wake lacks is there. */
  async #makeRoom(instance: InstanceId, task: TaskDefinition, signal: AbortSignal): Promise<void> {
    const wanted = takenBy(task)
    const tried = new Set<InstanceId>([instance])
    for (;;) {
      signal.throwIfAborted()
      const shortage = this.#shortage(wanted, await this.#availableBytes())
      if (!isShort(shortage)) break
      const idle = this.#idle().filter(one => !tried.has(one.instance))
      if (!wouldDo(shortage, this.#of(idle.map(one => one.instance)))) throw this.#refusal(task, wanted, shortage)
      const [idlest] = idle
        .filter(one => this.#helps(shortage, one))
        .toSorted(
          (a, b) => this.#givesLittle(shortage, a) - this.#givesLittle(shortage, b) || a.idleSince - b.idleSince,
        )
      if (idlest === undefined) throw this.#refusal(task, wanted, shortage)
      tried.add(idlest.instance)
      this.#options.log.info('app makes room', { ...logFields(idlest.instance), for: instance })
      this.#leaving.add(idlest.instance)
      await idlest.makeRoom().catch(() => undefined) // it has ended in `stuck`, and that was logged
      this.#leaving.delete(idlest.instance)
    }
    // Disks that stay attached after a sleep have slots too, which they give up where these run out.
    if (task.volume !== undefined)
      await this.#options.giveUpSlots?.(this.#options.volumeSlots - this.#volumes - 1, task.volume.id)
  }

  /** The container runs already: an earlier run of this node has started it. */
  adopt(key: RunKey, task: TaskDefinition): void {
    this.#taken.set(key, takenBy(task))
  }

  /** The memory of the container is in swap, but for so many bytes. It must be admitted again before it goes on. */
  shrink(key: RunKey, bytes: number): void {
    const taken = this.#taken.get(key)
    if (taken === undefined) return
    this.#taken.set(key, { ...taken, bytes: Math.min(taken.bytes, bytes), mostBytes: bytes, isShrunk: true })
  }

  /** The container is gone, and gives back what it had taken. */
  leave(key: RunKey): void {
    this.#taken.delete(key)
  }

  /** The container has another key from now on. */
  rename(from: RunKey, to: RunKey): void {
    const taken = this.#taken.get(from)
    this.#taken.delete(from)
    if (taken !== undefined) this.#taken.set(to, taken)
  }

  /** What all that are awake reserve, in bytes. */
  get reservedBytes(): number {
    return sum(this.#taken.values(), ({ bytes }) => bytes)
  }

  /** The memory and the volume slots, for the announcement of the node. */
  async facts(): Promise<{ readonly room: MemoryFacts; readonly volumeSlots: VolumeSlots }> {
    const { overcommit, volumeSlots: total, totalBytes = totalmem() } = this.#options
    const available = await this.#availableBytes()
    const reservableBytes = totalBytes * overcommit
    const idle = this.#of(this.#idle().map(one => one.instance))
    const free = Math.min(reservableBytes - this.reservedBytes, available * overcommit)
    return {
      room: {
        reservableBytes: Math.floor(reservableBytes),
        freeBytes: Math.max(0, Math.floor(free)),
        idleBytes: sum(idle, ({ bytes }) => bytes),
      },
      volumeSlots: {
        total,
        free: Math.max(0, total - this.#volumes),
        idle: idle.filter(({ hasVolume }) => hasVolume).length,
      },
    }
  }

  get #volumes(): number {
    return sum(this.#taken.values(), ({ hasVolume }) => Number(hasVolume))
  }

  #idle(): readonly IdleInstance[] {
    return this.#options.idle()
  }

  #availableBytes(): Promise<number> {
    return (this.#options.availableBytes ?? available)()
  }

  #shortage(wanted: Taken, availableBytes: number): Shortage {
    const { overcommit, volumeSlots, totalBytes = totalmem() } = this.#options
    return {
      reserve: this.reservedBytes + wanted.bytes - totalBytes * overcommit,
      available: wanted.bytes / overcommit - availableBytes,
      slots: wanted.hasVolume ? this.#volumes + 1 - volumeSlots : 0,
    }
  }

  #helps({ reserve, available }: Shortage, { instance }: IdleInstance): boolean {
    return reserve > 0 || available > 0 || this.#taken.get(instance)?.hasVolume === true
  }

  /** Those that give little memory come last where memory is missing. */
  #givesLittle({ reserve, available }: Shortage, { instance }: IdleInstance): number {
    return Number((reserve > 0 || available > 0) && this.#taken.get(instance)?.isShrunk === true)
  }

  #of(idle: readonly RunKey[]): readonly Taken[] {
    return [...new Set(idle)].flatMap(instance => this.#taken.get(instance) ?? [])
  }

  #refusal({ app, limits }: TaskDefinition, wanted: Taken, { reserve, available }: Shortage): ShadowError {
    const { overcommit, volumeSlots, totalBytes = totalmem() } = this.#options
    const missing = Math.max(reserve, available)
    if (missing <= 0)
      return new ShadowError(
        'no-volume-slot',
        `${app} has a volume, and apps in use have all ${volumeSlots} volume slots of this machine`,
        { hint: 'allow more if the machine can attach more: SHADOW_VOLUME_SLOTS', retryAfterMs: RETRY_AFTER_MS },
      )
    const others = sayBytes(this.reservedBytes)
    return new ShadowError(
      'no-memory',
      `${app} reserves ${sayBytes(wanted.bytes)} of memory (its limit is ${limits.memory}), and ${sayBytes(missing)} of that are missing: this machine has ${sayBytes(totalBytes)}, apps in use reserve ${others}, and ${overcommit} times the memory may be reserved`,
      {
        hint: `say how much it needs: shadow update ${app} --reserve SIZE; or allow more (SHADOW_MEMORY_OVERCOMMIT)`,
        retryAfterMs: RETRY_AFTER_MS,
      },
    )
  }
}

const takenBy = (task: TaskDefinition): Taken => ({
  bytes: reservedBy(task),
  mostBytes: Math.max(reservedBy(task), toBytes(task.limits.memory)),
  hasVolume: task.volume !== undefined,
})

/** Whether the shortage would end if all of these were given back. */
const wouldDo = ({ reserve, available, slots }: Shortage, givers: readonly Taken[]): boolean =>
  sum(givers, ({ bytes }) => bytes) >= reserve &&
  sum(givers, ({ mostBytes }) => mostBytes) >= available &&
  givers.filter(({ hasVolume }) => hasVolume).length >= slots

const isShort = ({ reserve, available, slots }: Shortage): boolean => reserve > 0 || available > 0 || slots > 0

const available = async (): Promise<number> => readMemory().availableBytes

const sum = <T>(values: Iterable<T>, of: (value: T) => number): number =>
  [...values].reduce((total, value) => total + of(value), 0)
