import type { LogLine } from '../../model/instance.ts'

const CHECK_AFTER_MS = 1_000
const CHECK_AT_LEAST_EVERY_MS = 60_000
// Docker keeps two files of 10 MB. A reader can stall when one replaces the other, so not before the first is half full.
const HARMLESS_BYTES = 5e6
// Docker may drop a file that was not read to its end, and goes on with the next one. The only sign is a jump in the times of the lines.
const BACKLOG_MS = 500
const JUMP_MS = 100
const FLOOD_WITHIN_MS = 10_000
// What Docker stores of each line beside its text: the stream and the time, as JSON.
const STORED_BESIDE = 80

/** Told in place of lines that were lost, or may have been. */
export const GAP = 'lines may be missing here: they were written faster than they could be read, and Docker keeps 20 MB'

type Options = {
  /** Whether this reader begins at the container's first line: only then is it known how much was written. */
  readonly fromStart: boolean
  /** Whether the container has written a line that the reader has not been given. */
  readonly isBehind: () => Promise<boolean>
}

/**
 * Notices that a reader of a container's output gets nothing although there is more: Docker 20.10 loses its place when it rotates
 * its files during heavy output. The first check is after a second without a line, the next ones ever less often.
 */
export class StallWatch implements Disposable {
  readonly #isBehind: () => Promise<boolean>
  readonly #stalled = new AbortController()
  #bytes: number
  #lastLineAt = performance.now()
  #isAsking = true
  #silence = CHECK_AFTER_MS
  #timer: NodeJS.Timeout | undefined
  /** What was written without a pause, by the times of its lines. */
  #flood = { from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY, bytes: 0 }

  constructor({ fromStart, isBehind }: Options) {
    this.#isBehind = isBehind
    this.#bytes = fromStart ? 0 : HARMLESS_BYTES
    this.#saw(0)
  }

  /** Aborts when the reader has stalled. */
  get signal(): AbortSignal {
    return this.#stalled.signal
  }

  /** Passes the lines on. The time that the consumer takes for a line does not count as silence. */
  async *watch(lines: AsyncIterable<LogLine>): AsyncGenerator<LogLine> {
    for await (const line of lines) {
      this.#isAsking = false
      if (this.#mayHaveSkipped(line)) yield { at: line.at, stream: 'shadow', line: GAP }
      this.#saw(line.line.length + STORED_BESIDE)
      yield line
      this.#lastLineAt = performance.now()
      this.#isAsking = true
    }
  }

  // While the reader is behind, the next line is there at once; a pause between the two may also have been the app's own.
  #mayHaveSkipped({ at, line }: LogLine): boolean {
    const now = Date.parse(at)
    const before = this.#flood.until
    const jumped = now - before > JUMP_MS && Date.now() - before > BACKLOG_MS + (now - before)
    const isFlood = this.#flood.bytes >= HARMLESS_BYTES
    if (jumped || now - this.#flood.from > FLOOD_WITHIN_MS) this.#flood = { from: now, until: now, bytes: 0 }
    this.#flood.until = now
    this.#flood.bytes += line.length + STORED_BESIDE
    return jumped && isFlood
  }

  [Symbol.dispose](): void {
    this.#stalled.abort()
    clearTimeout(this.#timer)
  }

  #saw(bytes: number): void {
    this.#bytes += bytes
    this.#silence = CHECK_AFTER_MS
    if (this.#timer === undefined && this.#bytes >= HARMLESS_BYTES) this.#checkAfter(CHECK_AFTER_MS)
  }

  #checkAfter(ms: number): void {
    if (this.#stalled.signal.aborted) return
    this.#timer = setTimeout(() => void this.#check(), ms)
    this.#timer.unref()
  }

  async #check(): Promise<void> {
    const left = this.#silence - (performance.now() - this.#lastLineAt)
    if (!this.#isAsking || left > 0) return this.#checkAfter(Math.max(left, CHECK_AFTER_MS))
    // If the container cannot be asked, the reader goes on, and the next check decides.
    if (await this.#isBehind().catch(() => false)) {
      if (this.#isAsking) return this.#stalled.abort()
      return this.#checkAfter(CHECK_AFTER_MS)
    }
    this.#silence = Math.min(2 * this.#silence, CHECK_AT_LEAST_EVERY_MS)
    this.#checkAfter(this.#silence / 2)
  }
}
