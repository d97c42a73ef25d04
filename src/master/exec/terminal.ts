import type { WebSocket } from 'ws'
import { ClientSession } from '../../api/exec-client.ts'
import { type TerminalReply, TerminalRequestSchema } from '../../api/terminal-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, ShadowError } from '../../lib/errors.ts'
import type { Answer } from '../../lib/http/api/call.ts'
import { INPUT_WINDOW_BYTES, SESSION_LOST_AFTER, SESSION_PING_EVERY, type TerminalSize } from '../../model/exec.ts'
import { SHELL } from './shell.ts'

type Options = {
  readonly size: TerminalSize
  /** Opens a session in the app: its frames are `content` and the body of the answer. */
  readonly open: (content: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<Answer>
  readonly clock: Clock
  /** Ends the terminal. */
  readonly signal: AbortSignal
}

/** How much output is on its way to a browser that has not shown it: a browser reads without end, and would keep it all in memory. */
const OUTPUT_WINDOW_BYTES = 262_144
/** The close codes of RFC 6455. */
const CLOSE = { done: 1000, goingAway: 1001, refused: 1008, failed: 1011 } as const
/** How long a client has to answer the close of a WebSocket. */
const CLOSES_WITHIN_MS = 2_000
const ENV = { TERM: 'xterm-256color', COLORTERM: 'truecolor' }

/** Serves a terminal to a browser: a login shell in a session of the app. Resolves when both have ended. */
export async function serveTerminal(socket: WebSocket, { size, open, clock, signal }: Options): Promise<void> {
  const line = new TerminalLine(socket, size)
  using _pings = keepAlive(socket, clock)
  const until = AbortSignal.any([signal, line.ended])
  try {
    const start = { kind: 'exec' as const, command: [...SHELL], env: ENV, tty: size }
    using session = await ClientSession.open({ start, open, clock, signal: until })
    line.join(session)
    const ends = aborted(until)
    const code = await Promise.race([session.read({ output: (_, bytes) => line.output(bytes) }), ends])
    await line.say({ exit: { code } })
    socket.close(CLOSE.done)
  } catch (thrown) {
    const { code, message, details } = asShadowError(until.aborted ? until.reason : thrown)
    await line.say({ failed: { code, detail: message, hint: details.hint } })
    socket.close(
      code === 'shutting-down'
        ? CLOSE.goingAway
        : /^(unauthorised|forbidden)$/.test(code)
          ? CLOSE.refused
          : CLOSE.failed,
    )
  }
  using _patience = clock.after(CLOSES_WITHIN_MS, () => socket.terminate())
  await line.closed
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })

/** The messages of one WebSocket. */
class TerminalLine {
  readonly #socket: WebSocket
  readonly #ending = new AbortController()
  readonly #session = Promise.withResolvers<ClientSession>()
  /** Resolves when the WebSocket is closed. */
  readonly closed: Promise<void>
  #size: TerminalSize
  #input: Promise<unknown> = this.#session.promise
  #isResizing = false
  #untaken = 0
  #unshown = 0
  #shown: (() => void) | undefined

  constructor(socket: WebSocket, size: TerminalSize) {
    this.#socket = socket
    this.#size = size
    this.#session.promise.catch(() => undefined)
    this.closed = new Promise(resolve => {
      socket.on('close', () => {
        this.#end(new ShadowError('client-gone', 'the terminal was closed'))
        resolve()
      })
    })
    socket.on('error', () => undefined) // a close follows
    socket.on('message', (data: Buffer, isBinary) => (isBinary ? this.#type(data) : this.#hear(data)))
  }

  /** Aborts when the client has left, or has said what it may not. */
  get ended(): AbortSignal {
    return this.#ending.signal
  }

  join(session: ClientSession): void {
    void this.say({ started: session.started })
    this.#session.resolve(session)
    void this.#resize() // the size may have changed while the app woke
  }

  /** Sends output. Resolves when the client can take more, so that a slow one slows the shell down. */
  async output(bytes: Uint8Array): Promise<void> {
    this.#unshown += bytes.length
    await this.#send(bytes)
    while (this.#unshown >= OUTPUT_WINDOW_BYTES && !this.ended.aborted)
      await new Promise<void>(resolve => {
        this.#shown = resolve
      })
  }

  say(reply: TerminalReply): Promise<void> {
    return this.#send(JSON.stringify(reply))
  }

  #send(data: Uint8Array | string): Promise<void> {
    if (this.#socket.readyState !== this.#socket.OPEN) return Promise.resolve()
    return new Promise(resolve => this.#socket.send(data, () => resolve()))
  }

  #type(bytes: Buffer): void {
    this.#untaken += bytes.length
    if (this.#untaken > INPUT_WINDOW_BYTES) {
      this.#end(new ShadowError('bad-input', `more than ${INPUT_WINDOW_BYTES} bytes were typed ahead`))
      return
    }
    const session = this.#session.promise
    this.#input = this.#input
      .then(async () => {
        await (await session).write(bytes)
        this.#untaken -= bytes.length
        await this.say({ taken: bytes.length })
      })
      .catch(() => undefined) // the end of the session tells
  }

  #hear(data: Buffer): void {
    const request = requestOf(data)
    if (request === undefined) this.#end(new ShadowError('bad-input', 'a message of the terminal cannot be read'))
    else if ('taken' in request) {
      this.#unshown = Math.max(0, this.#unshown - request.taken)
      this.#shown?.()
    } else {
      this.#size = request.resize
      void this.#resize()
    }
  }

  /** Tells the shell the newest size. Of many that come at once it hears the last one. */
  async #resize(): Promise<void> {
    if (this.#isResizing) return
    this.#isResizing = true
    try {
      const session = await this.#session.promise
      for (let told: TerminalSize | undefined; told !== this.#size; ) {
        told = this.#size
        await session.resize(told)
      }
    } catch {
      // The end of the session tells.
    } finally {
      this.#isResizing = false
    }
  }

  #end(why: ShadowError): void {
    this.#ending.abort(why)
    this.#session.reject(why)
    this.#shown?.()
  }
}

function requestOf(data: Buffer) {
  try {
    return TerminalRequestSchema.safeParse(JSON.parse(data.toString())).data
  } catch {
    return undefined
  }
}

/** Sends pings, and cuts a connection that has been silent for too long. */
function keepAlive(socket: WebSocket, clock: Clock): Disposable {
  let heardAt = clock.now()
  const hear = (): void => {
    heardAt = clock.now()
  }
  socket.on('pong', hear).on('message', hear)
  let timer: Disposable | undefined
  const next = (): void => {
    timer = clock.after(SESSION_PING_EVERY, () => {
      if (clock.now() - heardAt >= SESSION_LOST_AFTER) return socket.terminate()
      if (socket.readyState === socket.OPEN) socket.ping()
      next()
    })
  }
  next()
  return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() }
}
