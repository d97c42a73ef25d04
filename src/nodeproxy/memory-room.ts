import { readFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { ShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { Mutex } from '../lib/mutex.ts'
import { type InstanceId, logFields } from '../model/instance-id.ts'
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
  readonly idle: () => readonly IdleInstance[]
  readonly log: Log
  readonly totalBytes?: number
  readonly availableBytes?: () => Promise<number>
}

const RETRY_AFTER_MS = 5_000

/**
 * Reserves memory for apps. A wake needs two things: the sum of all reserves fits into the memory of this machine, and the reserve of the app is
 * free now. Otherwise idle instances are put to sleep, the longest idle first. If that is not enough, the wake is refused, so that the kernel
 * never has to kill a process. The reserve of an app (`--reserve`) is not its limit (`--memory`).
 */
export class MemoryRoom {
  readonly #options: Options
  readonly #reserved = new Map<InstanceId, number>()
  readonly #mutex = new Mutex()

  constructor(options: Options) {
    this.#options = options
  }

  /** Lets the instance take what it reserves; fails with `no-memory`. Taken already is success. */
  admit(instance: InstanceId, task: TaskDefinition, signal: AbortSignal): Promise<void> {
    return this.#mutex.take(async () => {
      const wanted = reservedBy(task)
      this.#reserved.delete(instance)
      const tried = new Set<InstanceId>([instance])
      for (;;) {
        signal.throwIfAborted()
        const missing = await this.#missing(wanted)
        if (missing <= 0) break
        const [idlest] = this.#options
          .idle()
          .filter(one => !tried.has(one.instance))
          .toSorted((a, b) => a.idleSince - b.idleSince)
        if (idlest === undefined) throw this.#refusal(task, wanted, missing)
        tried.add(idlest.instance)
        this.#options.log.info('app makes room', { ...logFields(idlest.instance), for: instance })
        await idlest.makeRoom().catch(() => undefined) // it has ended in `stuck`, and that was logged
      }
      this.#reserved.set(instance, wanted)
    })
  }

  /** The instance runs already: an earlier run of this node has woken it. */
  adopt(instance: InstanceId, task: TaskDefinition): void {
    this.#reserved.set(instance, reservedBy(task))
  }

  /** The instance sleeps, and gives back what it had reserved. */
  leave(instance: InstanceId): void {
    this.#reserved.delete(instance)
  }

  /** What all that are awake reserve, in bytes. */
  get reservedBytes(): number {
    return [...this.#reserved.values()].reduce((sum, bytes) => sum + bytes, 0)
  }

  async #missing(wanted: number): Promise<number> {
    const { overcommit, totalBytes = totalmem(), availableBytes = memAvailable } = this.#options
    const beyond = this.reservedBytes + wanted - totalBytes * overcommit
    return Math.max(beyond, wanted / overcommit - (await availableBytes()))
  }

  #refusal({ app, limits }: TaskDefinition, wanted: number, missing: number): ShadowError {
    const { overcommit, totalBytes = totalmem() } = this.#options
    const others = sayBytes(this.reservedBytes)
    return new ShadowError(
      'no-memory',
      `${app} reserves ${sayBytes(wanted)} of memory (its limit is ${limits.memory}), and ${sayBytes(missing)} of that are missing: this machine has ${sayBytes(totalBytes)}, apps in use reserve ${others}, and ${overcommit} times the memory may be reserved`,
      {
        hint: `say how much it needs: shadow update ${app} --reserve SIZE; or allow more (SHADOW_MEMORY_OVERCOMMIT)`,
        retryAfterMs: RETRY_AFTER_MS,
      },
    )
  }
}

/** What is kept for an app: what its definition reserves, else its limit. */
const reservedBy = ({ limits }: TaskDefinition): number => toBytes(limits.reserve ?? limits.memory)

/** The memory that is available without swapping, `MemAvailable` of proc(5), in bytes. */
async function memAvailable(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8')
  return 1_024 * Number(/^MemAvailable: +(\d+)/m.exec(text)?.[1] ?? Number.POSITIVE_INFINITY)
}
