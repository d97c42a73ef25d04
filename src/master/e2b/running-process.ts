import type { ClientSession } from '../../api/exec-client.ts'
import type { Clock } from '../../lib/clock.ts'
import type { SignalName } from '../../model/exec.ts'
import type { AppName } from '../../model/names.ts'
import { fault } from './faults.ts'

/** What a client asked to run. */
export type ProcessConfig = {
  readonly cmd: string
  readonly args: readonly string[]
  readonly envs: Readonly<Record<string, string>>
  readonly cwd?: string | undefined
}

type Output = 'stdout' | 'stderr' | 'pty'
export type ProcessEvent =
  | { readonly data: { readonly [stream in Output]?: string } }
  | { readonly end: { exitCode: number; exited: boolean; status: string; error?: string } }

/** Gets the events of a process. The process waits for it, so that a slow reader slows it down. */
export type Listener = (event: ProcessEvent) => Promise<void>

/** What a process writes while nobody listens is kept up to this size; the oldest goes first. */
const MOST_KEPT_BYTES = 2 ** 20
const NUMBERS: Partial<Record<SignalName, number>> = { TERM: 15, KILL: 9 }
const NAMES: Partial<Record<SignalName, string>> = { TERM: 'terminated', KILL: 'killed' }

type Options = {
  readonly sandbox: AppName
  readonly pid: number
  readonly tag: string | undefined
  readonly config: ProcessConfig
  readonly isPty: boolean
  readonly session: ClientSession
  readonly clock: Clock
}

/** A process of a sandbox. It goes on when whoever started it leaves, and others may listen to it. */
export class RunningProcess {
  readonly sandbox: AppName
  readonly pid: number
  readonly tag: string | undefined
  readonly config: ProcessConfig
  readonly #options: Options
  readonly #listeners = new Set<Listener>()
  readonly #kept: { readonly event: ProcessEvent; readonly bytes: number }[] = []
  readonly #over = Promise.withResolvers<void>()
  #keptBytes = 0
  #writing: Promise<void> = Promise.resolve()
  #signalled: SignalName | undefined
  #expired = false

  constructor(options: Options) {
    this.#options = options
    this.sandbox = options.sandbox
    this.pid = options.pid
    this.tag = options.tag
    this.config = options.config
    this.#over.promise.catch(() => undefined) // who listens hears it
  }

  /** Resolves when the process has ended and all listeners have its end; rejects if it was cut off, or its time was over. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  /** Takes what the process wrote. */
  async take(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> {
    const data = { [this.#options.isPty ? 'pty' : stream]: Buffer.from(bytes).toString('base64') }
    await this.#tell({ data }, bytes.length)
  }

  /** The process has ended with this code. */
  async ended(code: number): Promise<void> {
    if (this.#expired)
      return this.failed(fault('deadline_exceeded', 'the time of the command was over, and it was ended'))
    await this.#tell({ end: endOf(code, this.#signalled) }, 0)
    this.#over.resolve()
  }

  failed(error: unknown): void {
    this.#over.reject(error)
  }

  /** Tells this listener what was kept, and from now on what comes; until it is disposed. */
  async listen(listener: Listener): Promise<Disposable> {
    // More may be kept while the listener takes what was.
    for (let next = this.#kept.shift(); next !== undefined; next = this.#kept.shift()) {
      this.#keptBytes -= next.bytes
      await listener(next.event)
    }
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /** Writes input, after all that was given before. */
  write(bytes: Uint8Array): Promise<void> {
    const next = this.#writing.then(() => this.#options.session.write(bytes))
    this.#writing = next.catch(() => undefined)
    return next
  }

  async endInput(): Promise<void> {
    await this.#writing
    await this.#options.session.endInput()
  }

  async signal(signal: SignalName): Promise<void> {
    this.#signalled = signal
    await this.#options.session.signal(signal)
  }

  resize(columns: number, rows: number): Promise<void> {
    if (!this.#options.isPty) throw fault('invalid_argument', `the process ${this.pid} has no terminal`)
    return this.#options.session.resize({ columns, rows })
  }

  /** Ends it after this time. */
  expireIn(ms: number): void {
    const timer = this.#options.clock.after(ms, () => {
      this.#expired = true
      this.#options.session.signal('KILL').catch(() => undefined) // it has ended
    })
    this.over.catch(() => undefined).finally(() => timer[Symbol.dispose]())
  }

  async #tell(event: ProcessEvent, bytes: number): Promise<void> {
    if (this.#listeners.size === 0) return this.#keep(event, bytes)
    await Promise.all([...this.#listeners].map(listener => listener(event)))
  }

  #keep(event: ProcessEvent, bytes: number): void {
    this.#kept.push({ event, bytes })
    this.#keptBytes += bytes
    while (this.#keptBytes > MOST_KEPT_BYTES) this.#keptBytes -= this.#kept.shift()?.bytes ?? this.#keptBytes
  }
}

/** As E2B tells it: a process that a signal has ended has the exit code -1. */
function endOf(code: number, signalled: SignalName | undefined) {
  const name = signalled !== undefined && code === 128 + (NUMBERS[signalled] ?? 0) ? NAMES[signalled] : undefined
  if (name !== undefined) return { exitCode: -1, exited: false, status: `signal: ${name}`, error: `signal: ${name}` }
  const status = `exit status ${code}`
  return { exitCode: code, exited: true, status, ...(code !== 0 && { error: status }) }
}
