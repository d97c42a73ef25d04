import { FRAME, jsonOf, pieces, type SessionChannel } from '../../api/exec-channel.ts'
import { SignalSchema, TerminalSizeSchema } from '../../api/exec-schemas.ts'
import { parseValue } from '../../api/parse-call.ts'
import { resolvesWithin } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, ShadowError } from '../../lib/errors.ts'
import type { Frame } from '../../lib/frames.ts'
import { INPUT_WINDOW_BYTES, MOST_PIECE_BYTES } from '../../model/exec.ts'
import { sayMs } from '../../model/quantities.ts'
import type { Terminal } from '../runtime/terminal.ts'

type Options = {
  readonly channel: SessionChannel
  readonly terminal: Terminal
  /** After so long without input and output the session ends; undefined: it does not. */
  readonly idleMs: number | undefined
  /** Whether the client is told when the output has ended, and may send on after that. */
  readonly halfCloses?: boolean
  /** The session ends when the output has: its client knows of no half-closed connection. */
  readonly endsWithOutput?: boolean
  readonly clock: Clock
  /** Ends the session: the client has left, the app or the node stops. */
  readonly signal: AbortSignal
}

/** How long the client may take to end its side after the last frame. */
const LEAVES_WITHIN_MS = 5_000

/**
 * Joins a client with a command, until the command has ended and the client has all of its output. If the client leaves or is silent, the
 * command is ended. The last frame tells the client the exit code, or why the session ended before that. Resolves when the client has
 * ended its side too: a connection that is closed while bytes still come is reset, and the last frame would be lost.
 */
export async function runSession(options: Options): Promise<void> {
  const { channel, terminal, clock } = options
  const over = new AbortController()
  const idle = new IdleLimit(options)
  const input = passInput(options, idle).catch(error => over.abort(error))
  try {
    const code = await exitOf(options, idle, over.signal)
    await channel.sendJson(FRAME.exit, { code })
  } catch (thrown) {
    await channel.sendJson(FRAME.failed, asShadowError(thrown).toProblem())
    if (!(thrown instanceof ShadowError)) throw thrown
  } finally {
    idle[Symbol.dispose]()
    await terminal.end()
    await resolvesWithin(input, clock, LEAVES_WITHIN_MS)
  }
}

/** The exit code of the command, after its output. Rejects if the session ends before. */
async function exitOf(options: Options, idle: IdleLimit, left: AbortSignal): Promise<number> {
  const ended = AbortSignal.any([options.signal, left, idle.signal])
  await Promise.race([passOutput(options, idle, ended), aborted(ended)])
  if (options.endsWithOutput === true) return 0
  if (options.halfCloses === true) await options.channel.send(FRAME.outputEnd)
  return Promise.race([options.terminal.exitCode(), aborted(ended)])
}

/** Passes on what the command writes, as fast as the client takes it. */
async function passOutput({ channel, terminal }: Options, idle: IdleLimit, ended: AbortSignal): Promise<void> {
  for await (const { stream, bytes } of terminal.output) {
    if (ended.aborted) return
    idle.used()
    for (const piece of pieces(bytes, MOST_PIECE_BYTES))
      await channel.send(stream === 'stderr' ? FRAME.errorOutput : FRAME.output, piece)
  }
}

/** Passes on what the client sends. Input is written in its order, and reported when the command has taken it. */
async function passInput({ channel, terminal }: Options, idle: IdleLimit): Promise<void> {
  let waiting = 0
  let writing = Promise.resolve()
  const write = (bytes: Buffer): void => {
    waiting += bytes.length
    if (waiting > INPUT_WINDOW_BYTES)
      throw new ShadowError('bad-input', `more than ${INPUT_WINDOW_BYTES} bytes of input came that were not asked for`)
    const copy = Buffer.from(bytes) // the frame lies in memory that is used again
    // A command that has closed its input takes no more: the rest is dropped, as a closed pipe would refuse it.
    writing = writing
      .then(() => terminal.write(copy))
      .catch(() => undefined)
      .then(() => {
        waiting -= copy.length
        return channel.send(FRAME.taken, sizeBytes(copy.length))
      })
  }
  for (;;) {
    const frame = await channel.next()
    if (frame === undefined) throw new ShadowError('client-gone', 'the client left')
    if (frame.type === FRAME.input) {
      idle.used()
      write(frame.payload)
    } else if (frame.type === FRAME.inputEnd) writing = writing.then(() => terminal.endInput())
    else await control(frame, terminal)
  }
}

async function control(frame: Frame, terminal: Terminal): Promise<void> {
  if (frame.type === FRAME.resize) await terminal.resize(parseValue(TerminalSizeSchema, jsonOf(frame)))
  else if (frame.type === FRAME.signal) await terminal.signal(parseValue(SignalSchema, jsonOf(frame)).signal)
  else throw new ShadowError('bad-input', `a session has no frame of the type ${frame.type}`)
}

/** Aborts after a time without use. */
class IdleLimit implements Disposable {
  readonly #options: Options
  readonly #over = new AbortController()
  #usedAt: number
  #timer: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
    this.#usedAt = options.clock.now()
    if (options.idleMs !== undefined) this.#timer = this.#wait(options.idleMs, options.idleMs)
  }

  get signal(): AbortSignal {
    return this.#over.signal
  }

  used(): void {
    this.#usedAt = this.#options.clock.now()
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }

  #wait(ms: number, idleMs: number): Disposable {
    const { clock } = this.#options
    return clock.after(ms, () => {
      const left = this.#usedAt + idleMs - clock.now()
      if (left > 0) this.#timer = this.#wait(left, idleMs)
      else
        this.#over.abort(
          new ShadowError('too-slow', `the session was not used for ${sayMs(idleMs)} and was ended`, {
            hint: 'a longer time: SHADOW_SESSION_IDLE of the node',
          }),
        )
    })
  }
}

const sizeBytes = (length: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(length)
  return bytes
}

/** Rejects when the signal aborts. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
