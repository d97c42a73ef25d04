import type { Readable, Writable } from 'node:stream'
import type { Clock } from '../lib/clock.ts'
import { drained } from '../lib/drained.ts'
import { ShadowError } from '../lib/errors.ts'
import { encodeFrame, type Frame, readFrames } from '../lib/frames.ts'
import { SESSION_LOST_AFTER, SESSION_PING_EVERY } from '../model/exec.ts'

/**
 * The frames of a session. The body of the request carries those of the client, the body of the answer those of the node, both at the same
 * time. The first frame of the client is `start`. The answer begins when the command runs, so that a refusal is a usual answer with its
 * status. Its last frame is `exit`, or `failed` with a problem document.
 *
 * Input has a window: the client sends at most `INPUT_WINDOW_BYTES` that the command has not taken, and the node tells it by `taken` how
 * many bytes the command took. So a command that does not read its input never blocks signals and pings behind it.
 *
 * A connection of a front sends `outputEnd` when the app has ended its side: input may go on after that.
 */
export const FRAME = {
  start: 0,
  input: 1,
  inputEnd: 2,
  resize: 3,
  signal: 4,
  ping: 5,
  started: 16,
  output: 17,
  errorOutput: 18,
  taken: 19,
  exit: 20,
  failed: 21,
  outputEnd: 22,
} as const
export type FrameType = (typeof FRAME)[keyof typeof FRAME]

/** The media type of both bodies. */
export const SESSION_TYPE = 'application/vnd.shadow.session'
/** The largest frame: that of a start, which has the command and its environment. */
const MOST_FRAME_BYTES = 262_144

const badFrame = (message: string): ShadowError =>
  new ShadowError('bad-input', `the session cannot be read: ${message}`)

type Options = {
  readonly incoming: Readable
  readonly outgoing: Writable
  readonly clock: Clock
  /** The error for a peer that was not heard of for too long. */
  readonly lost: () => ShadowError
}

/** One side of a session: sends frames and pings, reads the frames of the other side, and notices that the other side is gone. */
export class SessionChannel implements Disposable {
  readonly #options: Options
  readonly #frames: AsyncGenerator<Frame>
  #lost: ShadowError | undefined
  #pings: Disposable | undefined
  #isOver = false

  constructor(options: Options) {
    this.#options = options
    this.#frames = readFrames(options.incoming, MOST_FRAME_BYTES, badFrame)
  }

  /** Begins to send pings. */
  startPings(): void {
    const { clock, outgoing } = this.#options
    this.#pings = clock.after(SESSION_PING_EVERY, () => {
      // If bytes wait for the other side already, a ping tells it nothing.
      if (!outgoing.writableNeedDrain) this.#write(FRAME.ping, NOTHING)
      if (!this.#isOver) this.startPings()
    })
  }

  /** Sends a frame. Resolves when more may be sent; also if the other side is gone, which `frames` reports. */
  async send(type: FrameType, payload: Uint8Array = NOTHING): Promise<void> {
    const { outgoing } = this.#options
    if (!this.#write(type, payload)) await drained(outgoing)
  }

  sendJson(type: FrameType, value: unknown): Promise<void> {
    return this.send(type, Buffer.from(JSON.stringify(value)))
  }

  /** The next frame that is no ping; undefined at the end of the stream. Fails if the other side was silent for too long. */
  async next(): Promise<Frame | undefined> {
    const { clock, incoming, lost } = this.#options
    for (;;) {
      using _patience = clock.after(SESSION_LOST_AFTER, () => {
        this.#lost = lost()
        incoming.destroy(this.#lost)
      })
      const result = await this.#frames.next().catch(error => Promise.reject(this.#lost ?? error))
      if (result.done === true) return undefined
      if (result.value.type !== FRAME.ping) return result.value
    }
  }

  /** Sends no more frames. */
  end(): void {
    this.#isOver = true
    this.#options.outgoing.end()
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    this.#pings?.[Symbol.dispose]()
  }

  #write(type: FrameType, payload: Uint8Array): boolean {
    const { outgoing } = this.#options
    if (this.#isOver || outgoing.destroyed || outgoing.writableEnded) return true
    return outgoing.write(encodeFrame(type, payload))
  }
}

/** The value of a frame with JSON; fails with `bad-input`. */
export function jsonOf({ payload }: Frame): unknown {
  try {
    return JSON.parse(payload.toString())
  } catch (cause) {
    throw badFrame(`a frame is no JSON: ${(cause as Error).message}`)
  }
}

/** The bytes in pieces that fit into a frame. */
export function* pieces(bytes: Uint8Array, most: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += most) yield bytes.subarray(at, at + most)
}

const NOTHING = Buffer.alloc(0)
