import type { WebSocket } from 'ws'
import type { z } from 'zod'
import { ClientSession } from '../../api/exec-client.ts'
import { parseValue } from '../../api/parse-call.ts'
import { ExecRequestSchema, OUTPUT_OF, type TerminalReply, TerminalRequestSchema } from '../../api/terminal-calls.ts'
import { deadline, orAborted } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, ShadowError } from '../../lib/errors.ts'
import type { Answer } from '../../lib/http/api/call.ts'
import {
  INPUT_WINDOW_BYTES,
  SESSION_LOST_AFTER,
  SESSION_PING_EVERY,
  SESSION_START_WITHIN,
  type TerminalSize,
} from '../../model/exec.ts'
import { SHELL } from './shell.ts'

type Options = {
  /** Opens a session in the app: its frames are `content` and the body of the answer. */
  readonly open: (content: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<Answer>
  readonly clock: Clock
  /** Ends the session. */
  readonly signal: AbortSignal
}
type Start = z.output<typeof ExecRequestSchema>['start']

/** How much output is on its way to a browser that has not shown it: a browser reads without end, and would keep it all in memory. */
const OUTPUT_WINDOW_BYTES = 262_144
/** The close codes of RFC 6455. */
const CLOSE = { done: 1000, goingAway: 1001, refused: 1008, failed: 1011 } as const
/** How long a client has to answer the close of a WebSocket. */
const CLOSES_WITHIN_MS = 2_000
const ENV = { TERM: 'xterm-256color', COLORTERM: 'truecolor' }

/** Serves a terminal to a browser: a login shell in a session of the app. Resolves when both have ended. */
export function serveTerminal(socket: WebSocket, { size, ...options }: Options & { readonly size: TerminalSize }) {
  const start = { command: [...SHELL], env: ENV, tty: size }
  return serve(new SessionSocket(socket, false), socket, async () => start, options)
}

/** Serves the command that the first message of the client names. Resolves when both have ended. */
export function serveExec(socket: WebSocket, options: Options): Promise<void> {
  const line = new SessionSocket(socket, true)
  const start = async (until: AbortSignal): Promise<Start> => {
    const late = (): ShadowError => new ShadowError('too-slow', 'the client did not say which command to run')
    using limit = deadline(options.clock, SESSION_START_WITHIN, late)
    return orAborted(line.start, AbortSignal.any([until, limit.signal]))
  }
  return serve(line, socket, start, options)
}

async function serve(
  line: SessionSocket,
  socket: WebSocket,
  startOf: (until: AbortSignal) => Promise<Start>,
  { open, clock, signal }: Options,
): Promise<void> {
  using _pings = keepAlive(socket, clock)
  const until = AbortSignal.any([signal, line.ended])
  try {
    const start = { kind: 'exec' as const, ...(await startOf(until)) }
    using session = await ClientSession.open({ start, open, clock, signal: until })
    line.join(session, start.tty)
    const ends = aborted(until)
    const code = await Promise.race([session.read({ output: (stream, bytes) => line.output(stream, bytes) }), ends])
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
class SessionSocket {
  readonly #socket: WebSocket
  /** Whether each message of output begins with a byte that says what it is. */
  readonly #isTagged: boolean
  readonly #ending = new AbortController()
  readonly #session = Promise.withResolvers<ClientSession>()
  /** Resolves when the WebSocket is closed. */
  readonly closed: Promise<void>
  readonly #start = Promise.withResolvers<Start>()
  #size: TerminalSize | undefined
  #input: Promise<unknown> = this.#session.promise
  #isResizing = false
  #untaken = 0
  #unshown = 0
  #shown: (() => void) | undefined

  constructor(socket: WebSocket, isTagged: boolean) {
    this.#socket = socket
    this.#isTagged = isTagged
    for (const { promise } of [this.#session, this.#start]) promise.catch(() => undefined)
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

  /** The command, as the first message says it. */
  get start(): Promise<Start> {
    return this.#start.promise
  }

  /** `size`: with which its terminal began. */
  join(session: ClientSession, size: TerminalSize | undefined): void {
    void this.say({ started: session.started })
    this.#session.resolve(session)
    if (this.#size !== undefined && this.#size !== size) void this.#resize() // it has changed while the app woke
  }

  /** Sends output. Resolves when the client can take more, so that a slow one slows the shell down. */
  async output(stream: keyof typeof OUTPUT_OF, bytes: Uint8Array): Promise<void> {
    this.#unshown += bytes.length
    await this.#send(this.#isTagged ? Buffer.concat([Buffer.of(OUTPUT_OF[stream]), bytes]) : bytes)
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
    this.#inOrder(async session => {
      await session.write(bytes)
      this.#untaken -= bytes.length
      await this.say({ taken: bytes.length })
    })
  }

  #inOrder(action: (session: ClientSession) => Promise<void>): void {
    const session = this.#session.promise
    this.#input = this.#input.then(async () => action(await session)).catch(() => undefined) // the end of the session tells
  }

  #hear(data: Buffer): void {
    const said = parsed(data)
    const isStart = this.#isTagged && typeof said === 'object' && said !== null && 'start' in said
    if (isStart) this.#begin(said)
    else this.#hearRequest(TerminalRequestSchema.safeParse(said).data)
  }

  #begin(said: unknown): void {
    try {
      this.#start.resolve(parseValue(ExecRequestSchema, said).start)
    } catch (error) {
      this.#start.reject(error)
    }
  }

  #hearRequest(request: z.output<typeof TerminalRequestSchema> | undefined): void {
    if (request === undefined) this.#end(new ShadowError('bad-input', 'a message of the terminal cannot be read'))
    else if ('taken' in request) {
      this.#unshown = Math.max(0, this.#unshown - request.taken)
      this.#shown?.()
    } else if ('signal' in request) {
      this.#session.promise.then(session => session.signal(request.signal)).catch(() => undefined)
    } else if ('inputEnd' in request) this.#inOrder(session => session.endInput())
    else {
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
        if (told !== undefined) await session.resize(told)
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
    this.#start.reject(why)
    this.#shown?.()
  }
}

function parsed(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString())
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
