import { PassThrough } from 'node:stream'
import { ShadowError } from '../lib/errors.ts'
import type { Command, SignalName, TerminalSize } from '../model/exec.ts'
import type { Output, Terminal } from '../nodeproxy/runtime/terminal.ts'
import { COMMANDS } from './exec-commands.ts'

type Name = keyof typeof COMMANDS

const NAMES = new Map(Object.entries(COMMANDS).map(([name, words]) => [words.join(' '), name as Name]))

/** A command of a fake container. It acts as the command of the contract suite with these words would; any other runs until it is ended. */
export class FakeCommand implements Terminal {
  readonly command: Command
  readonly output: AsyncIterable<Output>
  readonly #name: Name | undefined
  readonly #output = new PassThrough({ objectMode: true })
  readonly #exit = Promise.withResolvers<number>()
  readonly #waiting: (() => void)[] = []
  #size: TerminalSize | undefined
  isRunning = true

  constructor(command: Command) {
    this.command = command
    this.#name = NAMES.get(command.command.join(' '))
    this.#size = command.tty
    this.output = this.#output
    if (this.#name === 'missing')
      throw new ShadowError('command-not-found', `"${command.command[0]}" cannot be run: it is not there`)
    if (command.user === 'nobody-here') throw new ShadowError('bad-input', 'there is no user "nobody-here"')
    if (command.workdir === '/no/such') throw new ShadowError('bad-input', 'there is no folder "/no/such"')
    this.#begin()
  }

  /** The words that its processes have in their command lines, one for each process. */
  get processes(): readonly string[] {
    if (!this.isRunning) return []
    const { command } = this.command
    return this.#name === 'sleepers' ? ['sleep 1001', 'sleep 1001'] : [command.join(' ')]
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (!this.isRunning) throw new Error('it takes no more input')
    if (this.#name === 'cat') return this.say('stdout', bytes)
    if (this.#name === 'size') return this.say('stdout', `${this.#size?.rows} ${this.#size?.columns}\n`)
    return new Promise((_, reject) => this.#waiting.push(() => reject(new Error('it has ended'))))
  }

  endInput(): void {
    if (this.#name === 'cat') this.exit(0)
  }

  async resize(size: TerminalSize): Promise<void> {
    this.#size = size
  }

  async signal(name: SignalName): Promise<void> {
    if (this.#name !== 'trap' || name !== 'INT') return
    this.say('stdout', 'got\n')
    this.exit(5)
  }

  exitCode(): Promise<number> {
    return this.#exit.promise
  }

  async end(): Promise<void> {
    this.exit(129)
  }

  say(stream: Output['stream'], bytes: Uint8Array | string): void {
    this.#output.write({ stream, bytes: Buffer.from(bytes as string) })
  }

  exit(code: number): void {
    if (!this.isRunning) return
    this.isRunning = false
    for (const fail of this.#waiting) fail()
    this.#output.end()
    this.#exit.resolve(code)
  }

  #begin(): void {
    const { env, workdir } = this.command
    if (this.#name === 'both') {
      this.say('stdout', 'out\n')
      this.say('stderr', 'err\n')
      this.exit(3)
    } else if (this.#name === 'env') {
      this.say('stdout', `${env['GREETING']} in ${workdir}\n`)
      this.exit(0)
    } else if (this.#name === 'trap' || this.#name === 'stubborn') this.say('stdout', 'up\n')
  }
}
