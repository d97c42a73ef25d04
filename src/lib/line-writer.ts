import { writeSync } from 'node:fs'
import { systemCode } from './errors.ts'

// What a log may keep in memory while it cannot be written: some thousand lines.
const MOST_PENDING_BYTES = 2 ** 20
const AGAIN_AFTER_MS = 1_000
// A pipe whose reader is slow (EAGAIN) takes more as soon as the reader has read.
const AGAIN_WHEN_FULL_MS = 20

type Options = {
  readonly fd: number
  /** Called when lines can be written again after some were lost. */
  readonly onRecovered?: (lost: number) => void
}

/**
 * Writes whole lines to a file descriptor, each at once, so that a dying process loses none. A line that cannot be written
 * (EIO of a terminal that is gone, ENOSPC, EPIPE, EAGAIN) throws nothing: the line is kept in memory, within a bound, and
 * tried again; lines beyond the bound are lost and counted.
 */
export class LineWriter {
  readonly #fd: number
  readonly #onRecovered: (lost: number) => void
  readonly #pending: Buffer[] = []
  #pendingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #lostSinceRecovery = 0
  /** Attempts to write that failed. */
  failures = 0
  /** Lines that were never written. */
  lost = 0

  constructor({ fd, onRecovered = () => undefined }: Options) {
    this.#fd = fd
    this.#onRecovered = onRecovered
  }

  write(line: string): void {
    const bytes = Buffer.from(line)
    // A line that was begun is never dropped: what follows it would be glued to its first half.
    if (this.#pending.length > 0 && this.#pendingBytes + bytes.length > MOST_PENDING_BYTES) {
      this.lost += 1
      this.#lostSinceRecovery += 1
      return
    }
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
    if (this.#timer === undefined) this.flush()
  }

  /** Tries to write what is pending; what cannot be written now is tried again later. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    try {
      for (let first = this.#pending[0]; first !== undefined; first = this.#pending[0]) {
        const written = writeSync(this.#fd, first)
        this.#pendingBytes -= written
        if (written === first.length) this.#pending.shift()
        else this.#pending[0] = first.subarray(written)
      }
    } catch (error) {
      this.failures += 1
      const after = systemCode(error) === 'EAGAIN' ? AGAIN_WHEN_FULL_MS : AGAIN_AFTER_MS
      this.#timer = setTimeout(() => this.flush(), after)
      this.#timer.unref()
      return
    }
    const lost = this.#lostSinceRecovery
    this.#lostSinceRecovery = 0
    if (lost > 0) this.#onRecovered(lost)
  }
}
