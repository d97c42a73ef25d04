import { readFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { ShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { Turn } from '../lib/turn.ts'
import type { AppName } from '../model/names.ts'
import { sayBytes, toBytes } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'

/** An app that is awake and used by nobody. */
export type IdleApp = {
  readonly app: AppName
  readonly idleSince: number
  /** Puts it to sleep unless somebody has come meanwhile. */
  makeRoom(): Promise<void>
}

type Options = {
  /** Apps may reserve so many times the memory that there is. */
  readonly overcommit: number
  readonly idle: () => readonly IdleApp[]
  readonly log: Log
  readonly totalBytes?: number
  readonly availableBytes?: () => Promise<number>
}

const RETRY_AFTER_MS = 5_000

/**
 * Who may take memory of this machine: apps are woken while what all reserve fits into it, and what one reserves is there
 * now. Otherwise idle apps make room, the longest idle first; where that does not suffice the wake is refused, before the
 * kernel has to choose whom it kills. What an app reserves is told apart from its limit (`--reserve`, `--memory`).
 */
export class MemoryRoom {
  readonly #options: Options
  readonly #reserved = new Map<AppName, number>()
  readonly #turn = new Turn()

  constructor(options: Options) {
    this.#options = options
  }

  /** Lets the app take what it reserves; fails with `no-memory`. Taken already is success. */
  admit(task: TaskDefinition, signal: AbortSignal): Promise<void> {
    return this.#turn.take(async () => {
      const wanted = reservedBy(task)
      this.#reserved.delete(task.app)
      const tried = new Set<AppName>([task.app])
      for (;;) {
        signal.throwIfAborted()
        const missing = await this.#missing(wanted)
        if (missing <= 0) break
        const [idlest] = this.#options
          .idle()
          .filter(({ app }) => !tried.has(app))
          .toSorted((a, b) => a.idleSince - b.idleSince)
        if (idlest === undefined) throw this.#refusal(task, wanted, missing)
        tried.add(idlest.app)
        this.#options.log.info('app makes room', { app: idlest.app, for: task.app })
        await idlest.makeRoom().catch(() => undefined) // it has ended in `stuck`, and that was logged
      }
      this.#reserved.set(task.app, wanted)
    })
  }

  /** The app runs already: an earlier run of this node has woken it. */
  adopt(task: TaskDefinition): void {
    this.#reserved.set(task.app, reservedBy(task))
  }

  /** The app sleeps, and gives back what it had reserved. */
  leave(app: AppName): void {
    this.#reserved.delete(app)
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

/** What can be had without taking it from somebody (proc(5)). */
async function memAvailable(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8')
  return 1_024 * Number(/^MemAvailable: +(\d+)/m.exec(text)?.[1] ?? Number.POSITIVE_INFINITY)
}
