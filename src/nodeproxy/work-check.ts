import type { Clock } from '../lib/clock.ts'
import type { IdleCheck } from '../model/idle-check.ts'
import type { TaskDefinition } from '../model/task.ts'
import { runInContainer } from './container-command.ts'
import { probe } from './ready-http.ts'
import type { Running } from './running-container.ts'
import type { Runtime } from './runtime/runtime.ts'

/** An app at work, which nobody uses: why, and when it is to be asked again. */
type AtWork = { readonly why: string; readonly againInMs: number }

type Parts = {
  readonly running: Pick<Running, 'task' | 'container' | 'address'>
  readonly runtime: Pick<Runtime, 'cpuMs' | 'exec'>
  /** How visitors come to the app. */
  readonly visitors: { readonly hostname?: string | undefined; readonly proto?: 'http' | 'https' | undefined }
  readonly clock: Clock
  /** Adds a line to the log of the app. */
  readonly note: (line: string) => void
}

type Result = 'idle' | { readonly atWork: string } | { readonly failed: string }

const CHECK_WITHIN_MS = 10_000
const AGAIN_AFTER_MS = 30_000
/** Processors are measured over this time at least. */
const CPU_WINDOW_MS = 15_000
/** An older measurement says nothing of now. */
const CPU_SAMPLE_COUNTS_FOR_MS = 60_000
/** After so many checks that failed in a row, the app counts as idle: a check that is broken must not keep it awake for ever. */
const MOST_FAILURES = 3
const MOST_SAID_BYTES = 4_096
/** A shell ends with these where the command may not be run, or is not there. */
const CANNOT_RUN: ReadonlySet<number> = new Set([126, 127])

/** Finds out whether one run of an app is at work though nobody uses it: by its idle check, and by its use of processors. */
export class WorkCheck {
  readonly #parts: Parts
  #asking: Promise<WorkCheck['found']> | undefined
  #sample: { readonly at: number; readonly usedMs: number } | undefined
  #failures = 0
  /** What was found last, and when; undefined: that it is idle, or nothing yet. */
  found: (AtWork & { readonly at: number }) | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Whether the definition asks for any check. */
  static isWanted = ({ sleep }: TaskDefinition): boolean => sleep.idleCheck !== undefined || sleep.cpu !== undefined

  /** Asks now; undefined: it is idle. Callers at the same time share one answer. Never fails. */
  ask(): Promise<WorkCheck['found']> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #ask(): Promise<WorkCheck['found']> {
    const found = (await this.#byCpu()) ?? (await this.#byCheck())
    this.found = found && { ...found, at: this.#parts.clock.now() }
    return this.found
  }

  async #byCpu(): Promise<AtWork | undefined> {
    const { running, runtime, clock } = this.#parts
    const { sleep, limits } = running.task
    if (sleep.cpu === undefined) return undefined
    const usedMs = await runtime.cpuMs(running.container).catch(() => undefined)
    if (usedMs === undefined) return undefined
    const at = clock.now()
    const before = this.#sample
    this.#sample = { at, usedMs }
    if (before === undefined || at - before.at > CPU_SAMPLE_COUNTS_FOR_MS)
      return { why: 'its use of processors is being measured', againInMs: CPU_WINDOW_MS }
    const percent = (100 * (usedMs - before.usedMs)) / Math.max(1, at - before.at) / limits.cpus
    if (percent <= sleep.cpu) return undefined
    const why = `it uses ${percent.toFixed(1)} % of its processors, more than ${sleep.cpu} % (--sleep-cpu)`
    return { why, againInMs: AGAIN_AFTER_MS }
  }

  async #byCheck(): Promise<AtWork | undefined> {
    const { idleCheck } = this.#parts.running.task.sleep
    if (idleCheck === undefined) return undefined
    const result = await this.#run(idleCheck)
    if (result !== 'idle' && 'failed' in result) return this.#failed(result.failed)
    this.#failures = 0
    return result === 'idle'
      ? undefined
      : { why: `its idle check says so: ${result.atWork}`, againInMs: AGAIN_AFTER_MS }
  }

  #failed(what: string): AtWork | undefined {
    this.#failures += 1
    if (this.#failures === 1) this.#parts.note(`the idle check failed: ${what}`)
    if (this.#failures < MOST_FAILURES)
      return { why: `its idle check failed (${what}), and is tried again`, againInMs: AGAIN_AFTER_MS }
    this.#parts.note(`the idle check failed ${this.#failures} times in a row, so the app counts as idle`)
    return undefined
  }

  async #run(check: IdleCheck): Promise<Result> {
    const limit = new AbortController()
    using _alarm = this.#parts.clock.after(CHECK_WITHIN_MS, () => limit.abort(new Error('it took longer than 10s')))
    try {
      return check.kind === 'http'
        ? await this.#byHttp(check.path, limit.signal)
        : await this.#byCommand(check.command, limit.signal)
    } catch (error) {
      return { failed: error instanceof Error ? firstLine(error.message) : 'for no reason that is known' }
    }
  }

  async #byHttp(path: string, signal: AbortSignal): Promise<Result> {
    const { running, visitors } = this.#parts
    const { hostname, proto = 'http' } = visitors
    const { status, said } = await probe({ address: running.address, path, hostname, proto }, signal)
    signal.throwIfAborted()
    if (status === undefined) return { failed: said ?? 'no answer' }
    if (status >= 200 && status < 300) return 'idle'
    return status === 409 || status === 503 ? { atWork: said ?? String(status) } : { failed: said ?? String(status) }
  }

  async #byCommand(command: readonly string[], signal: AbortSignal): Promise<Result> {
    const { running, runtime } = this.#parts
    const { container } = running
    const { code, said } = await runInContainer({ runtime, container, command, signal, mostBytes: MOST_SAID_BYTES })
    if (code === 0) return 'idle'
    const line = firstLine(said)
    const what = line === '' ? `exit code ${code}` : `exit code ${code}, ${line}`
    return CANNOT_RUN.has(code) ? { failed: what } : { atWork: what }
  }
}

const firstLine = (text: string): string => (text.split('\n', 1)[0] ?? '').slice(0, 200)
