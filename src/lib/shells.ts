import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { type Clock, systemClock } from './clock.ts'
import { type Exec, ExecError, SYSTEM } from './exec.ts'

/** So many commands run at once. Others wait for a shell, since starting one takes this process longer than most commands do. */
const SHELLS = 4
/** A command that runs for longer is not waited for: others get a further shell, which ends afterwards. */
const SHORT_MS = 50

/**
 * Runs programs through shells that stay open. To start a program, Node copies the page tables of its whole process. That takes
 * milliseconds of CPU time, during which nothing is served, and more for a larger process. A shell has very little to copy.
 */
export class Shells implements Disposable {
  readonly #clock: Clock
  readonly #idle = new Set<Shell>()
  /** Those that run a command, with what ends the time in which it counts as a short one. */
  readonly #short = new Map<Shell, Disposable>()
  /** Commands that wait for a shell: none is idle then. */
  readonly #waiting: PromiseWithResolvers<Shell>[] = []
  #isDisposed = false

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  /** Works as `exec` of this folder. After disposal, it starts a shell for the one command. */
  readonly exec: Exec = async (file, args, { alsoGood = [] } = {}) => {
    const command = [file, ...args].join(' ')
    let shell: Shell | undefined
    try {
      shell = await this.#take()
      const { exitCode, ...output } = await shell.run([file, ...args])
      if (exitCode === 0 || alsoGood.includes(exitCode)) return output.stdout
      // Exit codes from 126 on come from the shell: the program was not started, not found, or killed.
      throw new ExecError(command, exitCode < 126 ? exitCode : undefined, output, `exit code ${exitCode} of the shell`)
    } catch (cause) {
      throw cause instanceof ExecError ? cause : new ExecError(command, undefined, { stdout: '', stderr: '' }, cause)
    } finally {
      if (shell !== undefined) this.#give(shell)
    }
  }

  async #take(): Promise<Shell> {
    const [idle] = this.#idle
    if (idle !== undefined) return this.#begin(idle)
    if (this.#short.size < SHELLS || this.#isDisposed) return this.#begin(new Shell())
    const waiting = Promise.withResolvers<Shell>()
    this.#waiting.push(waiting)
    return waiting.promise
  }

  #begin(shell: Shell): Shell {
    this.#idle.delete(shell)
    const isLong = (): void => {
      this.#short.delete(shell)
      this.#startNext()
    }
    this.#short.set(shell, this.#clock.after(SHORT_MS, isLong))
    return shell
  }

  /** Starts a shell for the command that waits longest. */
  #startNext(): void {
    const next = this.#waiting.shift()
    if (next === undefined) return
    try {
      next.resolve(this.#begin(new Shell()))
    } catch (error) {
      next.reject(error)
    }
  }

  #give(shell: Shell): void {
    this.#short.get(shell)?.[Symbol.dispose]()
    this.#short.delete(shell)
    const next = shell.hasEnded ? undefined : this.#waiting.shift()
    if (shell.hasEnded) this.#startNext()
    else if (next !== undefined) next.resolve(this.#begin(shell))
    else if (!this.#isDisposed && this.#idle.size < SHELLS) this.#idle.add(shell)
    else shell.end()
  }

  /** Ends the shells; running commands, and those that wait, are finished first. */
  [Symbol.dispose](): void {
    this.#isDisposed = true
    for (const shell of this.#idle) shell.end()
    this.#idle.clear()
  }
}

type Ended = { readonly stdout: string; readonly stderr: string; readonly exitCode: number }

/** One shell, which runs one command at a time. It ends when its input closes, so it ends with this process. */
class Shell {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  #stdout = ''
  #stderr = ''
  #waiting: PromiseWithResolvers<Ended> | undefined
  hasEnded = false

  constructor() {
    // A session of its own: Ctrl-C must end this process, not a mount that is running.
    this.#child = spawn('/bin/sh', { stdio: 'pipe', detached: true, cwd: '/', env: SYSTEM })
    const { stdin, stdout, stderr } = this.#child
    stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
      this.#look()
    })
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
      this.#look()
    })
    for (const pipe of [stdin, stdout, stderr]) pipe.on('error', error => this.#fail(error))
    this.#child.on('error', error => this.#fail(error)).on('close', () => this.#fail(new Error('the shell has ended')))
    this.#hold(false)
  }

  run(words: readonly string[]): Promise<Ended> {
    const waiting = Promise.withResolvers<Ended>()
    this.#waiting = waiting
    this.#stdout = ''
    this.#stderr = ''
    this.#hold(true)
    this.#child.stdin.write(`${words.map(quoted).join(' ')} </dev/null; ${MARK}\n`)
    return waiting.promise
  }

  end(): void {
    this.#child.stdin.end()
  }

  #look(): void {
    const marked = /\0(\d+)\n$/.exec(this.#stdout)
    if (marked === null || !this.#stderr.endsWith('\0')) return
    this.#hold(false)
    this.#waiting?.resolve({
      stdout: this.#stdout.slice(0, marked.index),
      stderr: this.#stderr.slice(0, -1),
      exitCode: Number(marked[1]),
    })
  }

  #fail(error: Error): void {
    this.hasEnded = true
    this.#waiting?.reject(error)
  }

  /** Whether the shell keeps this process alive: only while a command runs. */
  #hold(isHeld: boolean): void {
    for (const one of [this.#child, this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      const handle = one as { ref?(): void; unref?(): void }
      if (isHeld) handle.ref?.()
      else handle.unref?.()
    }
  }
}

// A byte that programs do not write marks the end of both outputs; the exit code follows it.
const MARK = `s=$?; printf '\\0' >&2; printf '\\0%s\\n' "$s"`

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`
