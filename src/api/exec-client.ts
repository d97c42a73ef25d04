import { PassThrough } from 'node:stream'
import type { z } from 'zod'
import { resolvesWithin } from '../lib/abort.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { asShadowError, fromProblem, ShadowError, systemCode } from '../lib/errors.ts'
import { encodeFrame, type Frame } from '../lib/frames.ts'
import type { Answer } from '../lib/http/api/call.ts'
import {
  INPUT_WINDOW_BYTES,
  MOST_PIECE_BYTES,
  SESSION_LOST_AFTER,
  type SignalName,
  type TerminalSize,
} from '../model/exec.ts'
import { FRAME, jsonOf, pieces, SESSION_TYPE, SessionChannel } from './exec-channel.ts'
import type { ConnectionStartSchema, SessionStarted, SessionStartSchema } from './exec-schemas.ts'

type Options = {
  /** What the session is for. */
  readonly start: z.input<typeof SessionStartSchema> | z.input<typeof ConnectionStartSchema>
  /** Makes the call `openSession`, or `openConnection`, with this content. */
  readonly open: (content: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<Answer>
  readonly clock: Clock
  /** Ends the session. */
  readonly signal: AbortSignal
}

type Readers = {
  /** Called with each piece of output, in order. The session waits for it, so that a slow reader slows the command down. */
  readonly output: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => Promise<void> | void
  /** Called when the app has ended its side of a connection of a front; input may go on. */
  readonly outputEnd?: () => void
}

const LEAVES_WITHIN_MS = 2_000

/** The headers of the call that opens a session. */
export const SESSION_HEADERS = { 'content-type': SESSION_TYPE }

/** A session as its client has it: its command runs. */
export class ClientSession implements Disposable {
  readonly started: SessionStarted
  readonly #channel: SessionChannel
  readonly #ending: AbortController
  #window = INPUT_WINDOW_BYTES
  #isOver = false
  #widened: (() => void) | undefined

  private constructor(channel: SessionChannel, started: SessionStarted, ending: AbortController) {
    this.#channel = channel
    this.started = started
    this.#ending = ending
  }

  /** Opens a session; fails as its call does. */
  static async open({ start, open, clock, signal }: Options): Promise<ClientSession> {
    const outgoing = new PassThrough()
    outgoing.on('error', () => undefined) // the answer tells of a connection that is lost
    const ending = new AbortController()
    const lost = (): ShadowError =>
      new ShadowError('node-unreachable', `the session was silent for ${SESSION_LOST_AFTER} ms: its connection is lost`)
    const answering = open(outgoing, AbortSignal.any([signal, ending.signal]))
    outgoing.write(encodeFrame(FRAME.start, Buffer.from(JSON.stringify(start))))
    const { body } = await answering
    const channel = new SessionChannel({ incoming: body, outgoing, clock, lost })
    channel.startPings()
    const frame = await channel.next()
    if (frame?.type === FRAME.failed) throw failure(frame)
    if (frame?.type !== FRAME.started) throw cut()
    return new ClientSession(channel, jsonOf(frame) as SessionStarted, ending)
  }

  /** Sends input, as fast as the command takes it. */
  async write(bytes: Uint8Array): Promise<void> {
    for (const piece of pieces(bytes, MOST_PIECE_BYTES)) {
      while (this.#window < piece.length && !this.#isOver)
        await new Promise<void>(resolve => {
          this.#widened = resolve
        })
      this.#window -= piece.length
      await this.#channel.send(FRAME.input, piece)
    }
  }

  async endInput(): Promise<void> {
    await this.#channel.send(FRAME.inputEnd)
  }

  async resize(size: TerminalSize): Promise<void> {
    await this.#channel.sendJson(FRAME.resize, size)
  }

  async signal(signal: SignalName): Promise<void> {
    await this.#channel.sendJson(FRAME.signal, { signal })
  }

  /** Reads the output to its end, and resolves with the exit code. Fails if the session ended before its command. */
  async read({ output, outputEnd }: Readers): Promise<number> {
    try {
      for (;;) {
        const frame = await this.#channel.next()
        if (frame === undefined) throw cut()
        if (frame.type === FRAME.output) await output('stdout', frame.payload)
        else if (frame.type === FRAME.errorOutput) await output('stderr', frame.payload)
        else if (frame.type === FRAME.outputEnd) outputEnd?.()
        else if (frame.type === FRAME.taken) this.#widen(frame.payload.readUInt32BE())
        else if (frame.type === FRAME.exit || frame.type === FRAME.failed) {
          await this.#leave()
          if (frame.type === FRAME.failed) throw failure(frame)
          return (jsonOf(frame) as { code: number }).code
        }
      }
    } catch (error) {
      throw systemCode(error) === undefined ? error : cut(error)
    } finally {
      this[Symbol.dispose]()
    }
  }

  /** Leaves the session, which ends its command. */
  [Symbol.dispose](): void {
    this.#isOver = true
    this.#widened?.()
    this.#channel[Symbol.dispose]()
    this.#ending.abort(new ShadowError('client-gone', 'the session was left'))
  }

  /** Ends this side, and waits until the other side has ended: a connection that is closed before is reset. */
  async #leave(): Promise<void> {
    this.#channel.end()
    await resolvesWithin(this.#channel.next(), systemClock, LEAVES_WITHIN_MS).catch(() => undefined) // the last frame has come
  }

  #widen(bytes: number): void {
    this.#window += bytes
    this.#widened?.()
  }
}

const failure = (frame: Frame): ShadowError => fromProblem(jsonOf(frame)) ?? asShadowError(frame)
const cut = (cause?: unknown): ShadowError =>
  new ShadowError(
    'node-unreachable',
    'the session was cut off: its node or a master has stopped, or the connection is lost',
    { cause },
  )
