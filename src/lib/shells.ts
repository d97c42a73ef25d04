import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { type Exec, ExecError, SYSTEM } from './exec.ts'

// More at once are started when they are wanted, and ended after it.
const KEPT = 2

/**
 * Runs programs by shells that are kept for it. To start a program Node copies the page tables of its whole process, which
 * takes milliseconds of its CPU, the longer the larger it is, while nothing else is served; a shell has next to nothing to copy.
 */
export class Shells implements Disposable {
  readonly #idle = new Set<Shell>()
  readonly #busy = new Set<Shell>()
  #isDisposed = false

  /** As `exec` of this folder; whoever calls it when the shells were disposed of gets one for this command alone. */
  readonly exec: Exec = async (file, args, { alsoGood = [] } = {}) => {
    const [shell = new Shell()] = this.#idle
    this.#idle.delete(shell)
    this.#busy.add(shell)
    const command = [file, ...args].join(' ')
    try {
      const { exitCode, ...output } = await shell.run([file, ...args])
      if (exitCode === 0 || alsoGood.includes(exitCode)) return output.stdout
      // From 126 on it is the shell's word: not to be started, not found, or killed.
      throw new ExecError(command, exitCode < 126 ? exitCode : undefined, output, `exit code ${exitCode} of the shell`)
    } catch (cause) {
      throw cause instanceof ExecError ? cause : new ExecError(command, undefined, { stdout: '', stderr: '' }, cause)
    } finally {
      this.#busy.delete(shell)
      if (!this.#isDisposed && this.#idle.size < KEPT && !shell.hasEnded) this.#idle.add(shell)
      else shell.end()
    }
  };

  /** Ends them; commands under way are finished. */
  [Symbol.dispose](): void {
    this.#isDisposed = true
    for (const shell of this.#idle) shell.end()
    this.#idle.clear()
  }
}

type Ended = { readonly stdout: string; readonly stderr: string; readonly exitCode: number }

/** One shell, which runs one command at a time. It ends with us: its input does. */
class Shell {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  #stdout = ''
  #stderr = ''
  #waiting: PromiseWithResolvers<Ended> | undefined
  hasEnded = false

  constructor() {
    // A session of its own: Ctrl-C is for us to hear, not for a mount that is under way.
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

  /** Whether the process is kept from ending by it: only while a command is under way. */
  #hold(isHeld: boolean): void {
    for (const one of [this.#child, this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      const handle = one as { ref?(): void; unref?(): void }
      if (isHeld) handle.ref?.()
      else handle.unref?.()
    }
  }
}

// Both outputs are told to have ended by a byte that programs do not write; the exit code comes after it.
const MARK = `s=$?; printf '\\0' >&2; printf '\\0%s\\n' "$s"`

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`
