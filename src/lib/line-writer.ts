import { writeSync } from 'node:fs'
import { systemCode } from './errors.ts'

// How much of a log is kept in memory while it cannot be written: some thousand lines.
const MOST_PENDING_BYTES = 2 ** 20
const AGAIN_AFTER_MS = 1_000
// A pipe with a slow reader (EAGAIN) accepts more once its reader has read.
const AGAIN_WHEN_FULL_MS = 20

type Options = {
  readonly fd: number
  /** Called when lines can be written again after some were lost. */
  readonly onRecovered?: (lost: number) => void
}

/**
 * Writes whole lines to a file descriptor, each at once, so that a dying process loses none. A failed write throws no error (EIO of a
 * closed
 * terminal, ENOSPC, EPIPE, EAGAIN): the line is kept in memory, up to a limit, and written later. Lines beyond the limit are lost and
 * counted.
 */
export class LineWriter {
  readonly #fd: number
  readonly #onRecovered: (lost: number) => void
  readonly #pending: Buffer[] = []
  #pendingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #lostSinceRecovery = 0
  /** How many attempts to write have failed. */
  failures = 0
  /** How many lines were never written. */
  lost = 0

  constructor({ fd, onRecovered = () => undefined }: Options) {
    this.#fd = fd
    this.#onRecovered = onRecovered
  }

  write(line: string): void {
    const bytes = Buffer.from(line)
    // A line that was partly written is never dropped: otherwise the next line would be joined to its first half.
    if (this.#pending.length > 0 && this.#pendingBytes + bytes.length > MOST_PENDING_BYTES) {
      this.lost += 1
      this.#lostSinceRecovery += 1
      return
    }
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
    if (this.#timer === undefined) this.flush()
  }

  /** Tries to write the pending lines. Lines that cannot be written now are tried again later. */
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
