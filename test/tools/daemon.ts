import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { dockerHost } from './docker-host.ts'
import { here, type Place } from './place.ts'

export type Env = Readonly<Record<string, string>>

type Options = {
  readonly place?: Place
  /** A file that keeps what the daemon writes to stderr, over all its starts. */
  readonly log?: string
}

/** A daemon in a process of its own. It can be ended in any way, and started again on its old port. */
export class Daemon {
  readonly #command: readonly [file: string, ...args: string[]]
  #env: Env
  #child: ChildProcess | undefined
  #said = ''
  readonly #place: Place
  readonly #log: string | undefined
  port = 0
  /** Called when the daemon has ended by itself, with its exit code. */
  onEnd: (exit: number) => void = () => undefined

  constructor(command: readonly [file: string, ...args: string[]], env: Env, { place = here, log }: Options = {}) {
    this.#command = command
    this.#env = env
    this.#place = place
    this.#log = log
  }

  /** Resolves when the daemon says that it listens; at once if it runs already. `env`: new settings from this start on. */
  async start(env: Env = {}): Promise<void> {
    if (this.runs) return
    this.#env = { ...this.#env, ...env }
    const listen = ['--json', '--listen', `${this.#place.address}:${this.port}`]
    const child = this.#place.spawn([...this.#command, ...listen], {
      env: { PATH: process.env['PATH'] ?? '', ...dockerHost(), ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#said = ''
    child.stderr?.setEncoding('utf8').on('data', chunk => {
      if (this.#log === undefined) this.#said += chunk
      else appendFileSync(this.#log, chunk)
    })
    const ended = once(child, 'close').then(([exit]) => Promise.reject(new Error(`ended with ${exit}: ${this.#said}`)))
    ended.catch(() => undefined) // after it listened, only the test ends it
    const [line] = (await Promise.race([once(createInterface(child.stdout as Readable), 'line'), ended])) as [string]
    this.port = Number(/:(\d+)"/.exec(line)?.[1])
    child.on('exit', exit => {
      // The daemon exited by itself: print its output for whoever reads the failed test.
      if (exit !== null && exit !== 0) {
        process.stderr.write(this.#said)
        this.onEnd(exit)
      }
    })
  }

  /** Sends the signal and returns how the process ended. */
  async end(signal: NodeJS.Signals): Promise<number | string | null> {
    const child = this.#child
    if (child === undefined || !this.runs) return null
    const ended = once(child, 'exit')
    this.#place.signal(child, signal)
    const [exit, by] = await ended
    return exit ?? by
  }

  /** Freezes the process (SIGSTOP), like a machine that hangs. The returned function lets it go on. */
  pause(): () => void {
    if (this.#child !== undefined) this.#place.signal(this.#child, 'SIGSTOP')
    return () => this.resume()
  }

  /** Lets a frozen process go on. */
  resume(): void {
    if (this.#child !== undefined && this.runs) this.#place.signal(this.#child, 'SIGCONT')
  }

  get runs(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null
  }
}
