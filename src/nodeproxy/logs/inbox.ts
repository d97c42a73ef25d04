import type { LogLine } from '../../model/instance.ts'

// The connection of a reader that is so far behind is slower than the app writes. Its lines are dropped, since memory is for the apps.
const MOST_LINES = 10_000
const MOST_CHARS = 4 * 2 ** 20

/** Lines that wait for one reader, until its signal aborts. A reader that falls behind gets the number of missed lines instead of them. */
export class Inbox implements AsyncIterable<LogLine>, Disposable {
  #lines: LogLine[] = []
  #chars = 0
  #missed = 0
  #wake: () => void = () => undefined
  readonly #signal: AbortSignal
  readonly #onAbort = (): void => this.#wake()

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', this.#onAbort)
  }

  put(line: LogLine): void {
    // After a missed line, the following lines are missed too, so that the reader sees the gap where it is.
    if (this.#missed > 0 || this.#lines.length >= MOST_LINES || this.#chars + line.line.length > MOST_CHARS)
      this.#missed += 1
    else {
      this.#lines.push(line)
      this.#chars += line.line.length
    }
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LogLine> {
    while (!this.#signal.aborted) {
      const [lines, missed] = [this.#lines, this.#missed]
      this.#lines = []
      this.#chars = 0
      this.#missed = 0
      yield* lines
      if (missed > 0) yield gap(missed, lines.at(-1)?.at ?? '')
      if (this.#lines.length > 0 || this.#signal.aborted) continue
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
  }
}

const gap = (missed: number, at: string): LogLine => ({
  at,
  stream: 'shadow',
  line: `${missed} lines are left out here: this reader is too slow for them`,
})
