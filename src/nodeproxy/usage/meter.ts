import { type Clock, wallAt } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { repeat } from '../../lib/repeat.ts'
import type { EndedRun, VolumeUse } from '../../model/instance.ts'
import type { AppName, VolumeId } from '../../model/names.ts'
import { reservedBy } from '../../model/placement.ts'
import { requestCounts, requestsIn } from '../../model/request-counts.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { Container, Runtime } from '../runtime/runtime.ts'
import type { UsageLedger } from './ledger.ts'

type Options = {
  readonly ledger: UsageLedger
  readonly runtime: Pick<Runtime, 'usage'>
  /** How full each volume is whose bytes are here, be its app awake or asleep. */
  readonly volumes: () => Promise<readonly (Pick<VolumeUse, 'onDiskBytes'> & { readonly id: VolumeId })[]>
  /** An app has used something and rests now. */
  readonly onRest: () => void
  readonly clock: Clock
  readonly log: Log
}

type Run = {
  readonly container: Container
  readonly memoryGiB: number
  /** When it was last read, by the clock. */
  at: number
  cpuMs: number
  sentBytes: number
  isEnding: boolean
  reading: Promise<void> | undefined
}

const GIB = 2 ** 30
const READ_EVERY_MS = 5_000
/** While a container ends, it is read more often: what it used since the last reading is lost with it. */
const READ_ENDING_EVERY_MS = 200
/** What a kill of this process may lose: the requests of so long. */
const WRITE_EVERY_MS = 1_000
const MEASURE_EVERY_MS = 600_000
const AT_ONCE = 16

/**
 * Counts what apps use on this node. Processor time and sent bytes are the kernel's own counters of a container, and time is read off the clock: so a
 * reading after a restart of this process counts all that was used in between.
 */
export class UsageMeter implements AsyncDisposable {
  readonly #options: Options
  readonly #runs = new Map<string, Run>()
  /** The requests of each app since the start of this process, in memory that worker threads share, and how many of them were added up. */
  readonly #requests = new Map<AppName, { readonly count: Int32Array; seen: number }>()
  readonly #timers = new DisposableStack()
  #endings: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
  }

  start(): void {
    const { clock, ledger, log } = this.#options
    const failed = (cause: unknown): void => log.warn('usage not counted', { cause })
    const every = (ms: number, task: () => Promise<void>) => this.#timers.use(repeat(clock, ms, task, failed))
    every(READ_EVERY_MS, () => this.read())
    every(WRITE_EVERY_MS, async () => {
      this.#addRequests()
      await ledger.flush()
    })
    every(MEASURE_EVERY_MS, () => this.measure())
    void this.measure().catch(failed)
  }

  /** Where the requests for an app are counted, in any thread: see `request-counts.ts`. */
  requestsOf(app: AppName): Int32Array {
    let known = this.#requests.get(app)
    if (known === undefined) {
      known = { count: requestCounts(), seen: 0 }
      this.#requests.set(app, known)
    }
    return known.count
  }

  /** The container runs from now on, or did so already when this process began. */
  started(container: Container, task: Pick<TaskDefinition, 'limits'>): void {
    const { clock, ledger } = this.#options
    if (this.#runs.has(container.id)) return
    const now = clock.now()
    const known = ledger.run(container.id)
    // The wall clock may have been set back meanwhile: then the time without this process is not counted.
    const at = known === undefined ? now : now - Math.max(0, clock.wall() - known.at)
    const memoryGiB = reservedBy(task) / GIB
    const { cpuMs = 0, sentBytes = 0 } = known ?? {}
    this.#runs.set(container.id, { container, memoryGiB, at, cpuMs, sentBytes, isEnding: false, reading: undefined })
    if (known === undefined) ledger.keepRun(container.id, { at: wallAt(clock, at), cpuMs, sentBytes })
  }

  /** The run takes no more requests: it ends soon, or has ended. */
  ended({ container = '' }: Pick<EndedRun, 'container'>): void {
    const run = this.#runs.get(container)
    if (run === undefined) return
    run.isEnding = true
    void this.#read(run)
    this.#endings ??= repeat(
      this.#options.clock,
      READ_ENDING_EVERY_MS,
      () => this.#readEnding(),
      cause => this.#options.log.debug('ending run not read', { cause }),
    )
  }

  /** Reads all runs now. */
  async read(): Promise<void> {
    this.#addRequests()
    await mapAtMost(AT_ONCE, [...this.#runs.values()], run => this.#read(run))
  }

  /** Measures the volumes, and counts the time since they were last measured. */
  async measure(): Promise<void> {
    const { clock, ledger, volumes } = this.#options
    const found = await volumes()
    const now = clock.wall()
    for (const { id, onDiskBytes } of found) {
      const before = ledger.volume(id)
      // A volume has the name of its app.
      if (before !== undefined && now > before.at)
        ledger.add(id as string as AppName, before.at, now, {
          volumeGiBHours: ((before.bytes / GIB) * (now - before.at)) / 3_600_000,
        })
      ledger.keepVolume(id, { at: now, bytes: onDiskBytes })
    }
    const here = new Set(found.map(({ id }) => id))
    for (const id of ledger.volumes) if (!here.has(id)) ledger.keepVolume(id, undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timers.dispose()
    this.#endings?.[Symbol.dispose]()
    await this.read()
    await this.#options.ledger.flush()
  }

  async #readEnding(): Promise<void> {
    const ending = [...this.#runs.values()].filter(({ isEnding }) => isEnding)
    await mapAtMost(AT_ONCE, ending, run => this.#read(run))
    if ([...this.#runs.values()].some(({ isEnding }) => isEnding)) return
    this.#endings?.[Symbol.dispose]()
    this.#endings = undefined
  }

  #read(run: Run): Promise<void> {
    run.reading ??= this.#readOnce(run)
      .catch(cause => this.#options.log.debug('run not read', { run: run.container.id, cause })) // the next reading counts it
      .finally(() => {
        run.reading = undefined
      })
    return run.reading
  }

  async #readOnce(run: Run): Promise<void> {
    const { runtime, clock, ledger } = this.#options
    const { app, id } = run.container
    const used = await runtime.usage(run.container)
    if (!this.#runs.has(id)) return
    // Of a run that has vanished unseen nobody knows when it ended: it counts up to the last reading.
    const now = used === undefined && !run.isEnding ? run.at : clock.now()
    const seconds = Math.max(0, now - run.at) / 1_000
    const { cpuMs, sentBytes } = used ?? run
    ledger.add(app, wallAt(clock, run.at), wallAt(clock, now), {
      awakeSeconds: seconds,
      memoryGiBSeconds: seconds * run.memoryGiB,
      cpuSeconds: Math.max(0, cpuMs - run.cpuMs) / 1_000,
      egressBytes: Math.max(0, sentBytes - run.sentBytes),
    })
    Object.assign(run, { at: now, cpuMs: Math.max(cpuMs, run.cpuMs), sentBytes: Math.max(sentBytes, run.sentBytes) })
    ledger.keepRun(id, used && { at: wallAt(clock, now), cpuMs: run.cpuMs, sentBytes: run.sentBytes })
    if (used !== undefined) return
    this.#runs.delete(id)
    this.#addRequests()
    await ledger.flush()
    this.#options.onRest()
  }

  #addRequests(): void {
    const { ledger, clock } = this.#options
    const now = clock.wall()
    for (const [app, known] of this.#requests) {
      const count = requestsIn(known.count)
      const requests = (count - known.seen) >>> 0
      if (requests === 0) continue
      known.seen = count
      ledger.add(app, now, now, { requests })
    }
  }
}
