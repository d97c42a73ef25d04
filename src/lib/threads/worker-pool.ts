import { Worker } from 'node:worker_threads'
import { type Clock, systemClock } from '../clock.ts'
import type { Log } from '../log.ts'
import { countUnexpected } from '../uncaught-errors.ts'
import { Channel, type Other } from './channel.ts'
import { Watchdog } from './watchdog.ts'

/** The methods of each thread of any pool. */
export type ThreadMethods = {
  /** Answers at once, unless the thread hangs. */
  beat(input: null): void
  /** Ends the thread after its running work has finished. */
  end(input: null): Promise<void>
}

type PoolMethods = {
  ready(input: null): void
  log(input: { level: 'debug' | 'info' | 'warn' | 'error'; event: string; fields: Record<string, unknown> }): void
  /** The thread met, and logged, an error that no code caught. The input is the error as text. */
  unexpected(input: string): void
}

export type WorkerPoolOptions = {
  readonly entry: URL
  readonly size: number
  /** The data for the thread. */
  readonly data: (index: number) => unknown
  /** Serves the calls of the thread until it has ended. */
  readonly serve: (channel: Channel, index: number) => Disposable
  /** How long a thread may take to end after it was asked to. */
  readonly endWithinMs: number
  readonly clock: Clock
  /** The clock that measures a hang: threads use the machine's clock, whatever `clock` is. */
  readonly watchdogClock?: Clock
  readonly log: Log
}

const AGAIN_AFTER_MS = 100
const AGAIN_AT_MOST_MS = 10_000
// A thread that ran for this long had started well.
const RAN_WELL_MS = 60_000
// A thread can be ended only between two steps of its code: not while the kernel blocks it (a file on a dead network disk).
const HUNG_ENDS_WITHIN_MS = 10_000

type Member = { readonly worker: Worker; readonly channel: Channel; readonly ended: Promise<unknown> }

/** Threads that do the same work. A thread that dies is started again; a thread that hangs is ended first. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions
  readonly #members = new Map<number, Member>()
  readonly #failures: number[] = []
  readonly #watchdog: Watchdog
  #isEnding = false
  /** How many threads have died. */
  deaths = 0

  constructor(options: WorkerPoolOptions) {
    this.#options = options
    this.#watchdog = new Watchdog(options.watchdogClock ?? systemClock)
  }

  /** Resolves when all threads are ready; rejects with the error of the first one that cannot start. */
  async start(): Promise<void> {
    try {
      await Promise.all(Array.from({ length: this.#options.size }, (_, index) => this.#start(index)))
    } catch (error) {
      await this.end()
      throw error
    }
  }

  get channels(): readonly Channel[] {
    return [...this.#members.values()].map(({ channel }) => channel)
  }

  /** Ends all threads; a thread that takes too long is terminated. */
  async end(): Promise<void> {
    this.#isEnding = true
    this.#watchdog[Symbol.dispose]()
    await Promise.all([...this.#members.values()].map(member => this.#end(member)))
  }

  async #end({ worker, channel, ended }: Member): Promise<void> {
    const late = setTimeout(() => void worker.terminate(), this.#options.endWithinMs)
    channel.other<ThreadMethods>().notify('end', null)
    await ended
    clearTimeout(late)
  }

  #start(index: number): Promise<void> {
    const { entry, data, serve, log, clock } = this.#options
    const startedAt = clock.now()
    const ready = Promise.withResolvers<void>()
    const worker = new Worker(entry, { workerData: data(index) })
    const channel = new Channel(worker)
    const watch = new DisposableStack()
    let unexpected = ''
    channel.serve<PoolMethods>({
      ready: () => {
        const ping = (): Promise<void> => channel.other<ThreadMethods>().call('beat', null)
        watch.use(this.#watchdog.watch(ping, unansweredMs => watch.use(this.#endHung(worker, index, unansweredMs))))
        ready.resolve()
      },
      log: ({ level, event, fields }) => log[level](event, { ...fields, worker: index }),
      unexpected: error => {
        unexpected = error
        countUnexpected()
      },
    })
    const served = serve(channel, index)
    worker.on('error', cause => {
      countUnexpected()
      log.error('worker failed', { worker: index, cause })
      ready.reject(cause)
    })
    const ended = exitOf(worker).then(exitCode => {
      watch[Symbol.dispose]()
      channel[Symbol.dispose]()
      served[Symbol.dispose]()
      this.#members.delete(index)
      const why = [`exit code ${exitCode}`, unexpected].filter(text => text !== '').join(', ')
      ready.reject(new Error(`the worker ended before it was ready: ${why}`))
      if (!this.#isEnding) this.#died(index, clock.now() - startedAt)
    })
    this.#members.set(index, { worker, channel, ended })
    return ready.promise
  }

  /** Terminates a thread that hangs; its exit starts a new one. */
  #endHung(worker: Worker, index: number, unansweredMs: number): Disposable {
    const { log, watchdogClock = systemClock } = this.#options
    log.error('worker hangs; it is ended', { worker: index, unansweredMs })
    void worker.terminate()
    return watchdogClock.after(HUNG_ENDS_WITHIN_MS, () =>
      log.error('worker does not end; only a restart of the process helps', { worker: index }),
    )
  }

  #died(index: number, ranMs: number): void {
    this.deaths += 1
    const failures = ranMs < RAN_WELL_MS ? (this.#failures[index] ?? 0) + 1 : 1
    this.#failures[index] = failures
    const againMs = Math.min(AGAIN_AFTER_MS * 2 ** (failures - 1), AGAIN_AT_MOST_MS)
    const { log, clock } = this.#options
    log.error('worker ended; it is started again', { worker: index, ranMs, againMs, deaths: this.deaths })
    clock.after(againMs, () => {
      if (!this.#isEnding) this.#start(index).catch(() => undefined) // the new one has ended too, which was logged
    })
  }
}

// Not `once`: it would reject with the error that comes before the exit.
const exitOf = (worker: Worker): Promise<number> => new Promise(resolve => worker.once('exit', resolve))

/** The pool, as its threads call it. */
export const poolOf = (channel: Channel): Other<PoolMethods> => channel.other<PoolMethods>()
