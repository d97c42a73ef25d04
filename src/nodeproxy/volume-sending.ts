import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { deadline, pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError, ShadowError } from '../lib/errors.ts'
import type { Exec } from '../lib/exec.ts'
import { goesLast, type MoveProgress } from '../model/volume-move.ts'
import { frame, KIND } from './volumes/image-frames.ts'
import { ImageSender } from './volumes/image-sender.ts'

/** How long the old node waits for the new one after the last byte. Any time is safe: the move is called off then. */
export const SWITCHED_WITHIN_MS = 60_000
const CLOSED_SEEN_EVERY_MS = 100
/** While the app is put to sleep, the receiver hears so often that the sender is alive. */
const BEAT_EVERY_MS = 1_000
/** A peer that neither takes nor sends a byte for so long is gone; its machine may have lost its power. */
export const STALLED_AFTER_MS = 30_000
const STALLED = new ShadowError('node-unreachable', 'the receiver of the volume takes no more bytes')

type Options = { readonly exec: Exec; readonly clock: Clock }

/** One volume on its way to another node: the stream, and how far it is. */
export class Sending {
  readonly signal: AbortSignal
  readonly #clock: Clock
  readonly #response: Writable
  readonly #sender: ImageSender
  #progress: MoveProgress = { stage: 'copying', pass: 0, readBytes: 0, ofBytes: 0, sentBytes: 0 }

  constructor({ exec, clock }: Options, response: Writable, signal: AbortSignal) {
    this.signal = signal
    this.#clock = clock
    this.#response = response
    this.#sender = new ImageSender({
      exec,
      put: bytes => this.put(bytes),
      onProgress: (read, sent, of) => this.#count(read, sent, of),
    })
  }

  get progress(): MoveProgress {
    return this.#progress
  }

  /** Sends a frame; resolves when the receiver takes more. */
  async put(bytes: Buffer): Promise<void> {
    this.signal.throwIfAborted()
    if (this.#response.write(bytes)) return
    using limit = deadline(this.#clock, STALLED_AFTER_MS, () => STALLED)
    const signal = AbortSignal.any([this.signal, limit.signal])
    await once(this.#response, 'drain', { signal }).catch(error =>
      Promise.reject(signal.aborted ? signal.reason : error),
    )
  }

  /** Copies the image while it is written to, until little of it is left to copy. */
  async whileItServes(image: string): Promise<void> {
    const sent: number[] = []
    while (!goesLast(sent)) sent.push(await this.#pass('copying', image, false))
    this.#progress = { ...this.#progress, stage: 'stopping' }
  }

  /** Lets the receiver know that this node is alive while the app is put to sleep, until it is disposed. */
  beats(): Disposable {
    let next: Disposable | undefined
    const again = (): void => {
      next = this.#clock.after(BEAT_EVERY_MS, () => {
        if (this.#progress.stage !== 'stopping' || this.signal.aborted) return
        this.#response.write(frame(KIND.beat))
        again()
      })
    }
    again()
    return { [Symbol.dispose]: () => next?.[Symbol.dispose]() }
  }

  /** The last pass: nobody writes to the image. */
  async rest(image: string): Promise<void> {
    await this.#pass('finishing', image, true)
    await this.#sender.end()
    this.#progress = { ...this.#progress, stage: 'switching' }
  }

  /** A peer that has closed the connection is noticed by a write. Nobody reads these bytes. */
  async untilClosed(): Promise<void> {
    for (let ms = 0; ms < SWITCHED_WITHIN_MS && !this.signal.aborted; ms += CLOSED_SEEN_EVERY_MS) {
      this.#response.write('.')
      await pause(this.#clock, CLOSED_SEEN_EVERY_MS, this.signal).catch(() => undefined) // it is closed: the loop ends
    }
  }

  /** Tells the receiver why the stream ends here; false if it could not be told, and sees only the end of the stream. */
  async fail(error: unknown): Promise<boolean> {
    if (this.signal.aborted || error === STALLED) return false
    const problem = Buffer.from(JSON.stringify(asShadowError(error).toProblem()))
    return this.put(frame(KIND.failure, problem.length, 0, problem)).then(
      () => true,
      () => false,
    )
  }

  async #pass(stage: 'copying' | 'finishing', image: string, isAtRest: boolean): Promise<number> {
    const { pass, sentBytes } = this.#progress
    this.#progress = { stage, pass: pass + 1, readBytes: 0, ofBytes: 0, sentBytes }
    return this.#sender.pass(image, { isAtRest })
  }

  #count(read: number, sent: number, ofBytes: number): void {
    const { readBytes, sentBytes } = this.#progress
    this.#progress = { ...this.#progress, readBytes: readBytes + read, sentBytes: sentBytes + sent, ofBytes }
  }
}
