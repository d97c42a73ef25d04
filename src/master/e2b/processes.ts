import type { ClientSession } from '../../api/exec-client.ts'
import type { Clock } from '../../lib/clock.ts'
import type { AppName } from '../../model/names.ts'
import { type Open, withoutShell } from './container.ts'
import { fault } from './faults.ts'
import { type ProcessConfig, RunningProcess } from './running-process.ts'

/** A node takes 32 sessions of one app: the rest is for calls about files. */
const MOST_PER_SANDBOX = 24
const MOST_PIDS_LINE = 64

/**
 * Goes to the folder `$2`, tells its pid and becomes the command. With `$1` it waits for a line first: a command that ends at once with 126 or 127
 * would look to the node as one that could not be started.
 */
const BEGIN = `if [ -n "$2" ]; then case $2 in /*) d=$2 ;; *) d=\${HOME:-}/$2 ;; esac; else d=\${HOME:-/}; fi
cd -- "$d" 2>/dev/null || { [ -z "$2" ] && cd /; } || { echo -; exit 1; }
echo "$$"
[ -z "$1" ] || read -r _
shift 2
exec "$@"`

export type Wanted = {
  readonly sandbox: AppName
  readonly config: ProcessConfig
  readonly user: string | undefined
  readonly tag: string | undefined
  readonly pty: { readonly columns: number; readonly rows: number } | undefined
  readonly stdin: boolean
}
export type Selector = { readonly pid: number } | { readonly tag: string }

/** The processes that clients have started by this master. They end with it, since their sessions do. */
export class Processes {
  readonly #clock: Clock
  readonly #all = new Map<AppName, Map<number, RunningProcess>>()
  readonly #starting = new Map<AppName, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  of(sandbox: AppName): readonly RunningProcess[] {
    return [...(this.#all.get(sandbox)?.values() ?? [])]
  }

  /** Fails with `not_found`. */
  get(sandbox: AppName, selector: Selector): RunningProcess {
    const found = this.of(sandbox).find(one =>
      'pid' in selector ? one.pid === selector.pid : one.tag === selector.tag,
    )
    if (found !== undefined) return found
    const what = 'pid' in selector ? `the pid ${selector.pid}` : `the tag ${JSON.stringify(selector.tag)}`
    throw fault('not_found', `no process with ${what} was started by this master and runs`)
  }

  /** Starts a process. It goes on when the signal aborts afterwards. */
  async start(open: Open, wanted: Wanted, signal: AbortSignal): Promise<RunningProcess> {
    const { sandbox } = wanted
    const starting = this.#starting.get(sandbox) ?? 0
    if (this.of(sandbox).length + starting >= MOST_PER_SANDBOX)
      throw fault('resource_exhausted', `the sandbox has ${MOST_PER_SANDBOX} processes, and may have no more`)
    this.#starting.set(sandbox, starting + 1)
    try {
      return await this.#begin(open, wanted, signal)
    } finally {
      const left = (this.#starting.get(sandbox) ?? 1) - 1
      if (left === 0) this.#starting.delete(sandbox)
      else this.#starting.set(sandbox, left)
    }
  }

  async #begin(open: Open, { sandbox, config, user, tag, pty, stdin }: Wanted, signal: AbortSignal) {
    const words = [pty === undefined ? 'wait' : '', config.cwd ?? '', config.cmd, ...config.args]
    // Its own signal: whoever asked for it may leave.
    const going = new AbortController()
    const leave = (): void => going.abort(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    const begun = Promise.withResolvers<RunningProcess>()
    let session: ClientSession | undefined
    try {
      session = await open(
        {
          kind: 'exec',
          command: ['sh', '-c', BEGIN, 'sh', ...words],
          env: { ...config.envs },
          ...(user !== undefined && { user }),
          ...(pty !== undefined && { tty: pty }),
        },
        going.signal,
      ).catch(withoutShell)
      const opened = session
      const found = (pid: number): RunningProcess =>
        new RunningProcess({
          ...{ sandbox, pid, tag, config },
          isPty: pty !== undefined,
          session: opened,
          clock: this.#clock,
        })
      void this.#follow(opened, found, begun)
      const process = await begun.promise
      if (pty === undefined) await opened.write(GO)
      if (pty === undefined && !stdin) await opened.endInput()
      return process
    } catch (error) {
      session?.[Symbol.dispose]()
      throw error
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  /** Reads the session to its end. Its first line is the pid. */
  async #follow(
    session: ClientSession,
    found: (pid: number) => RunningProcess,
    begun: PromiseWithResolvers<RunningProcess>,
  ): Promise<void> {
    let process: RunningProcess | undefined
    let line = Buffer.alloc(0)
    begun.promise.catch(() => undefined)
    try {
      const code = await session.read({
        output: async (stream, bytes) => {
          if (process !== undefined) return process.take(stream, bytes)
          if (stream === 'stderr') return
          line = Buffer.concat([line, bytes])
          const end = line.indexOf('\n')
          if (end === -1 && line.length < MOST_PIDS_LINE) return
          const pid = Number(line.subarray(0, Math.max(0, end)).toString())
          if (!(pid > 0)) throw fault('invalid_argument', 'the folder to run in is not there')
          process = found(pid)
          this.#add(process)
          const rest = line.subarray(end + 1)
          begun.resolve(process)
          if (rest.length > 0) await process.take(stream, rest)
        },
      })
      if (process === undefined) throw fault('invalid_argument', 'the folder to run in is not there')
      this.#remove(process)
      await process.ended(code)
    } catch (error) {
      if (process === undefined) return begun.reject(error)
      this.#remove(process)
      process.failed(error)
    }
  }

  #add(process: RunningProcess): void {
    const of = this.#all.get(process.sandbox) ?? new Map()
    this.#all.set(process.sandbox, of.set(process.pid, process))
  }

  #remove({ sandbox, pid }: RunningProcess): void {
    const of = this.#all.get(sandbox)
    of?.delete(pid)
    if (of?.size === 0) this.#all.delete(sandbox)
  }
}

const GO = Buffer.from('\n')
