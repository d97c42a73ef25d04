import { dispose } from './dispose.ts'
import { ShadowFailure } from './failure.ts'
import { type SettledByHand, settledByHand } from './settled-by-hand.ts'
import type { Socket, SocketClass } from './socket.ts'

export type TerminalSize = { readonly columns: number; readonly rows: number }
/** Signals that a command may be sent. */
export type SignalName = 'HUP' | 'INT' | 'QUIT' | 'KILL' | 'USR1' | 'USR2' | 'TERM' | 'CONT' | 'TSTP' | 'WINCH' | 'ALRM'

export type CommandOptions = {
  /** Variables beside those of the container. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** The folder that the command runs in. */
  readonly cwd?: string | undefined
  /** A user of the container, or `USER:GROUP`; left out: the user of the image. */
  readonly user?: string | undefined
  /** Ends the command. */
  readonly signal?: AbortSignal | undefined
}

export type SpawnOptions = CommandOptions & {
  /** Gives the command a terminal of this size; its errors come with its output then. */
  readonly tty?: TerminalSize | undefined
}

type Given = SpawnOptions & {
  readonly url: string
  readonly token: string
  readonly command: readonly string[]
  readonly WebSocket: SocketClass
  /** Fails with why the call was refused, if it was: a WebSocket does not tell. */
  readonly refusal: () => Promise<void>
}

type Reply =
  | { readonly started: unknown }
  | { readonly taken: number }
  | { readonly exit: { readonly code: number } }
  | { readonly failed: { readonly code: string; readonly detail: string; readonly hint?: string } }
type Stream = ReadableStream<Uint8Array>

/** So much input may be on its way that the command has not taken. */
const WINDOW_BYTES = 262_144
const PIECE_BYTES = 32_768
/** So much output of each stream may be unread before the command waits, as in a pipe: what nobody reads must not keep its exit back. */
const UNREAD_BYTES = 65_536
const STDOUT = 1

/**
 * A command that runs in a sandbox. A stream that is not read holds the command up, as a full pipe does; one that is of no interest is cancelled.
 * What fails, fails with a `ShadowFailure`.
 */
export class SandboxCommand implements Disposable {
  readonly stdout: Stream
  readonly stderr: Stream
  /** Resolves when the command has ended and its output was read. */
  readonly exitCode: Promise<number>
  readonly #started: SettledByHand<void> = settledByHand()
  readonly #exit: SettledByHand<number> = settledByHand()
  readonly #socket: Socket
  readonly #out: Outlet
  readonly #err: Outlet
  #isOpen = false
  #isOver = false
  #untaken = 0
  #widened: (() => void) | undefined
  /** The output that has come is handed out in its order. */
  #handing: Promise<unknown> = Promise.resolve()

  private constructor({ url, token, command, env = {}, cwd, user, tty, signal, WebSocket: Class, refusal }: Given) {
    this.#out = new Outlet()
    this.#err = new Outlet()
    this.stdout = this.#out.stream
    this.stderr = this.#err.stream
    this.exitCode = this.#exit.promise
    for (const { promise } of [this.#started, this.#exit]) promise.catch(() => undefined)
    this.#socket = new Class(url, ['shadow', `shadow.bearer.${token}`])
    this.#socket.binaryType = 'arraybuffer'
    const leave = (): void => this.#fail(signal?.reason)
    signal?.addEventListener('abort', leave, { once: true })
    this.#socket.onopen = () => {
      this.#isOpen = true
      this.#say({
        start: {
          command,
          env,
          ...(user !== undefined && { user }),
          ...(cwd !== undefined && { workdir: cwd }),
          ...(tty && { tty }),
        },
      })
    }
    this.#socket.onmessage = ({ data }: { readonly data: string | ArrayBuffer }) => this.#hear(data)
    this.#socket.onclose = () => {
      signal?.removeEventListener('abort', leave)
      const lost = (): void => this.#fail(new ShadowFailure(0, CUT))
      if (this.#isOpen) void this.#handing.then(lost)
      else void refusal().then(lost, error => this.#fail(error))
    }
    if (signal?.aborted) leave()
  }

  /** Resolves when the command runs. */
  static async start(given: Given): Promise<SandboxCommand> {
    const command = new SandboxCommand(given)
    await command.#started.promise
    return command
  }

  /** Sends input, as fast as the command takes it. */
  async write(input: string | Uint8Array): Promise<void> {
    const bytes = typeof input === 'string' ? new TextEncoder().encode(input) : input
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const piece = bytes.slice(at, at + PIECE_BYTES)
      while (this.#untaken + piece.length > WINDOW_BYTES && !this.#isOver)
        await new Promise<void>(resolve => {
          this.#widened = resolve
        })
      if (this.#isOver) return
      this.#untaken += piece.length
      this.#send(piece)
    }
  }

  /** No more input comes. */
  endInput(): void {
    this.#say({ inputEnd: true })
  }

  /** Its terminal has another size. */
  resize({ columns, rows }: TerminalSize): void {
    this.#say({ resize: { columns, rows } })
  }

  signal(signal: SignalName): void {
    this.#say({ signal })
  }

  /** Leaves the command, which ends it. */
  [dispose](): void {
    this.#fail(new ShadowFailure(0, { code: 'client-gone', detail: 'the command was left' }))
  }

  #say(message: object): void {
    if (this.#isOpen && !this.#isOver) this.#send(JSON.stringify(message))
  }

  #send(data: string | Uint8Array): void {
    this.#socket.send(data as never)
  }

  #hear(data: string | ArrayBuffer): void {
    if (typeof data !== 'string') {
      const bytes = new Uint8Array(data)
      const outlet = bytes[0] === STDOUT ? this.#out : this.#err
      this.#handing = this.#handing
        .then(() => outlet.give(bytes.subarray(1)))
        .then(() => this.#say({ taken: bytes.length - 1 }))
      return
    }
    const reply = JSON.parse(data) as Reply
    if ('started' in reply) this.#started.resolve()
    else if ('taken' in reply) {
      this.#untaken -= reply.taken
      this.#widened?.()
    } else if ('exit' in reply) this.#handing = this.#handing.then(() => this.#ended(reply.exit.code))
    else this.#handing = this.#handing.then(() => this.#fail(new ShadowFailure(0, reply.failed)))
  }

  #ended(code: number): void {
    if (!this.#finish()) return
    this.#out.end()
    this.#err.end()
    this.#exit.resolve(code)
  }

  #fail(error: unknown): void {
    if (!this.#finish()) return
    this.#started.reject(error)
    this.#exit.reject(error)
    this.#out.fail(error)
    this.#err.fail(error)
  }

  #finish(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#widened?.()
    this.#socket.close()
    return true
  }
}

const CUT = {
  code: 'node-unreachable',
  detail: 'the command was cut off: its node or a master has stopped, or the connection is lost',
}

/** One stream of output. */
class Outlet {
  readonly stream: Stream
  #controller!: ReadableStreamDefaultController<Uint8Array>
  #wanted: (() => void) | undefined
  #isOpen = true

  constructor() {
    this.stream = new ReadableStream(
      {
        start: controller => {
          this.#controller = controller
        },
        pull: () => this.#wanted?.(),
        cancel: () => {
          this.#isOpen = false
          this.#wanted?.()
        },
      },
      { highWaterMark: UNREAD_BYTES, size: piece => piece?.byteLength ?? 0 },
    )
  }

  /** Resolves when more can be read. */
  async give(bytes: Uint8Array): Promise<void> {
    if (!this.#isOpen) return
    this.#controller.enqueue(bytes)
    if ((this.#controller.desiredSize ?? 0) > 0) return
    await new Promise<void>(resolve => {
      this.#wanted = resolve
    })
  }

  end(): void {
    if (this.#isOpen) this.#controller.close()
    this.#isOpen = false
  }

  fail(error: unknown): void {
    if (this.#isOpen) this.#controller.error(error)
    this.#isOpen = false
    this.#wanted?.()
  }
}
