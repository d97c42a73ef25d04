import { entriesIn, type FileEntry, fileCommands, fileFault } from '../api/file-scripts.ts'
import type { CommandOptions, SandboxCommand, SpawnOptions } from './command.ts'
import { dispose } from './dispose.ts'
import { ShadowFailure } from './failure.ts'
import type { SessionView } from './types.ts'

export type ExecOptions = CommandOptions & {
  /** Sent to the command; left out: it has no input. */
  readonly stdin?: string | Uint8Array | undefined
  /** Called with each piece of output in place of keeping it; the command waits for what it returns. */
  readonly onStdout?: ((bytes: Uint8Array) => void | Promise<void>) | undefined
  readonly onStderr?: ((bytes: Uint8Array) => void | Promise<void>) | undefined
}

/** What a command has written is text here, in UTF-8. */
export type ExecResult = { readonly exitCode: number; readonly stdout: string; readonly stderr: string }

/** What a sandbox needs of its client. */
export type SandboxCalls = {
  readonly start: (session: string, command: readonly string[], options: SpawnOptions) => Promise<SandboxCommand>
  readonly get: (session: string) => Promise<SessionView>
  readonly end: (session: string, kind: 'soft' | 'hard') => Promise<SessionView>
  readonly pause: (session: string, isPaused: boolean) => Promise<void>
}

type Taken = (bytes: Uint8Array) => void | Promise<void>

/** So much output of one command is kept; a command that writes more is ended. Use `onStdout` for that. */
const MOST_KEPT_BYTES = 64 * 2 ** 20

/** A session with commands and files. Every method fails with a `ShadowFailure`. */
export class Sandbox {
  /** Its name, which is that of its app. */
  readonly session: string
  readonly #url: string
  readonly #calls: SandboxCalls

  constructor({ session, url }: { readonly session: string; readonly url: string }, calls: SandboxCalls) {
    this.session = session
    this.#url = url
    this.#calls = calls
  }

  /** Runs a command to its end. A text is run by the container's `sh`. */
  async exec(command: string | readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { onStdout, onStderr, ...rest } = options
    const [stdout, stderr] = [new Kept(), new Kept()]
    const exitCode = await this.#run(wordsOf(command), rest, onStdout ?? stdout.take, onStderr ?? stderr.take)
    return { exitCode, stdout: stdout.text, stderr: stderr.text }
  }

  /** Starts a command, with streams. A text is run by the container's `sh`. */
  spawn(command: string | readonly string[], options: SpawnOptions = {}): Promise<SandboxCommand> {
    return this.#calls.start(this.session, wordsOf(command), options)
  }

  async readFile(path: string, options: CommandOptions = {}): Promise<Uint8Array> {
    return (await this.#file(fileCommands.read(path), path, options)).bytes
  }

  async readText(path: string, options: CommandOptions = {}): Promise<string> {
    return (await this.#file(fileCommands.read(path), path, options)).text
  }

  /** Replaces the file. Folders that are missing are made. */
  async writeFile(path: string, content: string | Uint8Array, options: CommandOptions = {}): Promise<void> {
    await this.#file(fileCommands.write(path), path, { ...options, stdin: content })
  }

  /** What is in a folder, by name. */
  async list(path: string, options: CommandOptions = {}): Promise<readonly FileEntry[]> {
    return entriesIn((await this.#file(fileCommands.list(path), path, options)).text)
  }

  /** Removes a file, or a folder with all in it. */
  async remove(path: string, options: CommandOptions = {}): Promise<void> {
    await this.#file(fileCommands.remove(path), path, options)
  }

  /** The URL for a visitor, with the token in it. `port`: of another port than the main one, if the template has `--ports all`. */
  url(port?: number): string {
    if (port === undefined) return this.#url
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw new ShadowFailure(0, { code: 'bad-input', detail: `${port} is no port` })
    const url = new URL(this.#url)
    url.hostname = `${port}-${url.hostname}`
    return url.href
  }

  get(): Promise<SessionView> {
    return this.#calls.get(this.session)
  }

  /** Puts it to sleep, and nothing wakes it until it is resumed. It ends a session whose template says `--when-idle end`. */
  pause(): Promise<void> {
    return this.#calls.pause(this.session, true)
  }

  resume(): Promise<void> {
    return this.#calls.pause(this.session, false)
  }

  /** Ends it; resolves when it has ended. `soft`: by SIGTERM and with its grace; `hard`: at once. */
  end(kind: 'soft' | 'hard' = 'soft'): Promise<SessionView> {
    return this.#calls.end(this.session, kind)
  }

  /** Keeps it from sleeping or ending for want of use, until the result is disposed of. */
  async keepAlive(): Promise<Disposable> {
    const waiting = await this.spawn(['cat'])
    return { [dispose]: () => waiting[dispose]() }
  }

  async #run(command: readonly string[], { stdin, ...options }: ExecOptions, out: Taken, err: Taken): Promise<number> {
    using running = await this.#calls.start(this.session, command, options)
    const input = stdin === undefined ? Promise.resolve() : running.write(stdin)
    const sent = input.then(() => running.endInput())
    await Promise.all([drain(running.stdout, out), drain(running.stderr, err), sent])
    return await running.exitCode // the command is left after it
  }

  async #file(command: readonly string[], path: string, options: ExecOptions): Promise<Kept> {
    const [out, err] = [new Kept(), new Kept()]
    const exitCode = await this.#run(command, options, out.take, err.take)
    if (exitCode !== 0) throw new ShadowFailure(0, fileFault(exitCode, path, err.text))
    return out
  }
}

const wordsOf = (command: string | readonly string[]): readonly string[] =>
  typeof command === 'string' ? ['sh', '-c', command] : command

async function drain(stream: ReadableStream<Uint8Array>, take: Taken): Promise<void> {
  const reader = stream.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    await take(value)
  }
}

/** Output that is kept. */
class Kept {
  #parts: Uint8Array[] = []
  #length = 0

  readonly take = (bytes: Uint8Array): void => {
    this.#length += bytes.length
    if (this.#length > MOST_KEPT_BYTES)
      throw new ShadowFailure(0, { code: 'too-large', detail: `a command wrote more than ${MOST_KEPT_BYTES} bytes` })
    this.#parts.push(bytes)
  }

  get bytes(): Uint8Array {
    const whole = new Uint8Array(this.#length)
    let at = 0
    for (const part of this.#parts) {
      whole.set(part, at)
      at += part.length
    }
    return whole
  }

  get text(): string {
    return new TextDecoder().decode(this.bytes)
  }
}
