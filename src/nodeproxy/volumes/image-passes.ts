import { once } from 'node:events'
import { rm, stat, writeFile } from 'node:fs/promises'
import { PassThrough } from 'node:stream'
import type { Exec } from '../../lib/exec.ts'
import { goesLast } from '../../model/volume-move.ts'
import { FORMAT } from './image-frames.ts'
import { receiveImage } from './image-receiver.ts'
import { ImageSender } from './image-sender.ts'

/** Bytes that are on their way to the copy. */
const AHEAD_BYTES = 2 ** 20
/** Times of files are exact to some milliseconds; this is far more. */
const TICKS_MS = 1_000

type Options = {
  readonly exec: Exec
  readonly from: string
  /** A file that is not there yet. */
  readonly to: string
}

/**
 * A copy of an image on the same machine, made in passes: first while the image is written to, then once more while it is not. Each pass reads
 * all data of the image, and writes the blocks that have changed since the pass before.
 */
export class ImagePasses implements AsyncDisposable {
  readonly #from: string
  readonly #to: string
  readonly #sender: ImageSender
  readonly #frames = new PassThrough({ highWaterMark: AHEAD_BYTES })
  readonly #failed = new AbortController()
  readonly #copied: Promise<unknown>
  #signal: AbortSignal = this.#failed.signal
  #lastMs = 0
  #begunAt = 0

  constructor({ exec, from, to }: Options) {
    this.#from = from
    this.#to = to
    this.#copied = receiveImage(this.#frames, to, { exec })
    this.#copied.catch(error => this.#failed.abort(error))
    this.#sender = new ImageSender({ exec, put: bytes => this.#put(bytes), onProgress: () => undefined })
  }

  /** About how long the last pass will take: as long as the one before, or no time where nothing was written since that began. */
  async rest(): Promise<number> {
    return (await this.#wasWritten()) ? this.#lastMs : 0
  }

  /** Copies while the image may be written to, until little of it is left to copy. */
  async whileWritten(signal: AbortSignal): Promise<void> {
    this.#signal = AbortSignal.any([signal, this.#failed.signal])
    await this.#put(FORMAT)
    const sent: number[] = []
    while (!goesLast(sent)) sent.push(await this.#pass())
  }

  /** Copies what has changed since then; nobody writes to the image. The copy is whole and synced afterwards. */
  async atRest(signal: AbortSignal): Promise<void> {
    this.#signal = AbortSignal.any([signal, this.#failed.signal])
    if (await this.#wasWritten()) await this.#pass()
    await this.#sender.end()
    await this.#copied
  }

  /** Whether anything may have been written to the image since the last pass began, which has copied all that there was by then. */
  async #wasWritten(): Promise<boolean> {
    return (await stat(this.#from)).mtimeMs > this.#begunAt - TICKS_MS
  }

  async #pass(): Promise<number> {
    const from = performance.now()
    this.#begunAt = await timeBeside(this.#to)
    // Each pass writes the image out before it looks where the image has data, since it is the last one if nothing is written meanwhile.
    const sent = await this.#sender.pass(this.#from, { isAtRest: true })
    this.#lastMs = performance.now() - from
    return sent
  }

  async #put(bytes: Buffer): Promise<void> {
    this.#signal.throwIfAborted()
    if (this.#frames.write(bytes)) return
    await once(this.#frames, 'drain', { signal: this.#signal }).catch(error =>
      Promise.reject(this.#signal.aborted ? this.#signal.reason : error),
    )
  }

  /** Ends a copy that is not whole; nothing writes to its file afterwards. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#frames.destroy()
    await this.#copied.catch(() => undefined) // it is not wanted any more
  }
}

/** The time by the clock of the filesystem that the file is on: that of a server may differ from the one of this machine. */
async function timeBeside(file: string): Promise<number> {
  const probe = `${file}-begun`
  await writeFile(probe, '')
  const { mtimeMs } = await stat(probe)
  await rm(probe)
  return mtimeMs
}
