import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { bootNow } from '../../../lib/boot-id.ts'
import type { Log, LogLevel } from '../../../lib/log.ts'
import { entryOf } from '../../../lib/threads/entry.ts'
import type { NodeName, VolumeId } from '../../../model/names.ts'
import { guardedLeases, monotonicNow } from './entries.ts'

/** How much of a lease is left, in milliseconds from now. */
type Left = { readonly fenceInMs: number; readonly endsInMs: number }

/** Ends what uses a volume whose lease was neither renewed nor left in time. */
export interface LeaseGuard {
  /** Watches over the lease from now on, or anew after it was renewed. */
  watch(volume: VolumeId, left: Left): Promise<void>
  /** The volume is detached: there is nothing to end any more. */
  leave(volume: VolumeId): Promise<void>
}

/** What the guard process is started with, as JSON. */
export type GuardSettings = {
  readonly data: string
  readonly node: NodeName
  readonly pool: string
  readonly level: LogLevel
}

type Options = Omit<GuardSettings, 'pool'> & { readonly pool: string | undefined; readonly log: Log }

/**
 * A guard in a process of its own: a node that hangs, is stopped or was killed renews no lease, and its containers go on writing. The
 * process is started with the first lease. It outlives this one until nothing is left to watch.
 */
export class ProcessGuard implements LeaseGuard, Disposable {
  readonly #options: Options
  readonly #leases: ReturnType<typeof guardedLeases>
  readonly #boot = bootNow()
  #process: Promise<ChildProcess> | undefined
  #isDisposed = false

  constructor(options: Options) {
    this.#options = options
    this.#leases = guardedLeases(guardFolder(options.data))
  }

  async watch(volume: VolumeId, { fenceInMs, endsInMs }: Left): Promise<void> {
    const now = monotonicNow()
    await this.#leases.put({ volume, fenceAt: now + fenceInMs, endsAt: now + endsInMs, boot: this.#boot })
    await this.#started()
  }

  leave(volume: VolumeId): Promise<void> {
    return this.#leases.remove(volume)
  }

  /** The process ends once it has nothing to watch. */
  [Symbol.dispose](): void {
    this.#isDisposed = true
    void this.#process?.then(child => child.stdin?.end()).catch(() => undefined) // it never started
  }

  #started(): Promise<ChildProcess> {
    this.#process ??= this.#start().catch(error => {
      this.#process = undefined
      throw error
    })
    return this.#process
  }

  async #start(): Promise<ChildProcess> {
    const { data, node, pool = '', level, log } = this.#options
    const settings: GuardSettings = { data, node, pool, level }
    const file = fileURLToPath(entryOf(import.meta.url, './process.ts', 'lease-guard.js'))
    // A session of its own: Ctrl-C ends this process, and the guard outlives it.
    const child = spawn(process.execPath, [file, JSON.stringify(settings)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
      cwd: '/',
    })
    child.stdin.on('error', () => undefined) // it has ended, and that is handled below
    child.once('exit', (exit, signal) => {
      this.#process = undefined
      if (this.#isDisposed) return
      log.error('lease guard ended; it is started again', { exit, signal })
      this.#started().catch(cause => log.error('lease guard cannot be started', { cause }))
    })
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(([exit]) => Promise.reject(new Error(`the lease guard ended with ${exit}`))),
    ])
    // It must keep nobody waiting who ends this process.
    child.unref()
    for (const stream of [child.stdin, child.stdout]) (stream as unknown as { unref(): void }).unref()
    return child
  }
}

/** The folder of the leases that are watched. */
export const guardFolder = (data: string): string => `${data}/node/leases`
