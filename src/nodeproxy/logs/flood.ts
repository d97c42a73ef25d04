// An app that writes more than this, for longer than its burst lasts, costs the machine more than it is worth: Docker stores each
// line outside of what the app's own processor time is counted in.
const BYTES_PER_S = 2 ** 20
const BURST_BYTES = 8 * BYTES_PER_S
// Its stamp is read of a line now and then only.
const CHECK_EVERY_BYTES = 2 ** 16
// Lines of a flood are read no faster: to read them costs the daemon a good part of a processor. It is more than what counts as a flood, so
// that the reader catches up with an app that has calmed down; Docker keeps 20 MB and drops the rest.
const READ_BYTES_PER_S = 2 * BYTES_PER_S

/** Whether an app floods its log: a token bucket of bytes that runs empty. */
export class Flood {
  #left = BURST_BYTES
  #at: number | undefined
  #unchecked = 0
  #written = 0
  #isOn = false
  #isPauseDue = false

  get isOn(): boolean {
    return this.#isOn
  }

  /** Counts a line; answers whether the flood begins by it. Its own stamp counts, not when it is read: a backlog is no flood. */
  saw({ at, line }: { at: string; line: string }): boolean {
    this.#unchecked += line.length
    if (this.#unchecked < CHECK_EVERY_BYTES) return false
    this.#isPauseDue = this.#isOn
    const now = Date.parse(at)
    const refilled = this.#left + (Math.max(0, now - (this.#at ?? now)) / 1_000) * BYTES_PER_S
    this.#at = now
    this.#left = Math.max(0, Math.min(BURST_BYTES, refilled) - this.#unchecked)
    this.#written += this.#unchecked
    this.#unchecked = 0
    if (this.#left > 0 || this.#isOn) return false
    this.#isOn = true
    return true
  }

  /** How many milliseconds to wait before the next line is read: 0 for an app that does not flood its log, and for most lines of one that does. */
  takePauseMs(): number {
    if (!this.#isPauseDue) return 0
    this.#isPauseDue = false
    return (CHECK_EVERY_BYTES / READ_BYTES_PER_S) * 1_000
  }

  /** Whether it is over, by what was written in the `ms` since the last check. */
  isOver(ms: number): boolean {
    this.#isOn = this.#written >= (ms / 1_000) * BYTES_PER_S
    this.#written = 0
    if (!this.#isOn) this.#left = BURST_BYTES
    return !this.#isOn
  }
}

export const FLOODS = `this app writes more than ${BYTES_PER_S / 2 ** 20} MiB of log a second: it gets little processor time until it writes less`
export const CALM = 'this app writes less log again: it gets its processor time back'
export const ENDED_IN_FLOOD = 'this app ended while it wrote more than was read: its last lines may be missing here'
