import type { LogLine } from './instance.ts'

const MOST_KEYS = 1_000
const MERGED_WITHIN_MS = 5_000

/** The lines of the last second of a log, to tell those that come again after a lost connection. */
export class SeenLines {
  #at: string | undefined
  readonly #keys = new Set<string>()
  #isMerged = false

  /** The time of the newest line; of several instances a little earlier, since lines of one may come after later ones of another. */
  get last(): string | undefined {
    if (this.#at === undefined || !this.#isMerged) return this.#at
    return new Date(Date.parse(this.#at) - MERGED_WITHIN_MS).toISOString()
  }

  /** Whether the line was not read before; `again`: the time from which on the log is read once more, if it is. */
  isNew(line: LogLine, again: string | undefined): boolean {
    const key = `${line.at} ${line.instance ?? ''} ${line.stream} ${line.line}`
    this.#isMerged ||= line.instance !== undefined
    if (again !== undefined && (this.#isMerged || line.at <= again) && this.#keys.has(key)) return false
    if (this.#at === undefined || line.at > this.#at) this.#at = line.at
    this.#keys.add(key)
    if (this.#keys.size > 2 * MOST_KEYS) {
      for (const old of this.#keys) {
        if (this.#keys.size <= MOST_KEYS) break
        this.#keys.delete(old)
      }
    }
    return true
  }
}
