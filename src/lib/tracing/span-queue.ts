import { resolvesWithin } from '../abort.ts'
import type { Clock } from '../clock.ts'
import type { Span, SpanSink } from './tracer.ts'

/** Sends spans to a collector; rejects if it has not taken them. */
export type SendSpans = (spans: readonly Span[]) => Promise<void>

type Options = {
  readonly send: SendSpans
  /** How long spans may wait until they are sent together. */
  readonly delayMs: number
  readonly clock: Clock
  /** Called when the collector has not taken spans. */
  readonly onLost: (cause: unknown) => void
}

const MOST_WAITING = 2_048
const BATCH = 512
const FLUSHED_WITHIN_MS = 2_000

/**
 * The spans that wait to be sent. There is a limit: spans beyond it are lost, and so are those that the collector does not take. Whoever records
 * one waits for nothing.
 */
export class SpanQueue implements SpanSink, AsyncDisposable {
  readonly #options: Options
  #waiting: Span[] = []
  #sending: Promise<void> | undefined
  #next: Disposable | undefined
  #isClosed = false
  sent = 0
  lost = 0

  constructor(options: Options) {
    this.#options = options
  }

  record(span: Span): void {
    if (this.#isClosed || this.#waiting.length >= MOST_WAITING) {
      this.lost += 1
      return
    }
    this.#waiting.push(span)
    if (this.#waiting.length >= BATCH) this.#sendBehind()
    else this.#next ??= this.#options.clock.after(this.#options.delayMs, () => this.#sendBehind())
  }

  /** Sends what waits, for a short time at most. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#sendBehind()
    await resolvesWithin(this.#sending ?? Promise.resolve(), this.#options.clock, FLUSHED_WITHIN_MS)
    this.lost += this.#waiting.length
    this.#waiting = []
  }

  #sendBehind(): void {
    this.#next?.[Symbol.dispose]()
    this.#next = undefined
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined
    })
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH)
      try {
        await this.#options.send(batch)
        this.sent += batch.length
      } catch (cause) {
        this.lost += batch.length
        this.#options.onLost(cause)
      }
    }
  }
}
