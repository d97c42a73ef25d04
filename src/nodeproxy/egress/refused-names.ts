import { type Clock, timestamp } from '../../lib/clock.ts'
import type { RefusedName } from '../../model/instance.ts'

const MOST_KEPT = 20
const MOST_TEXT = 260

/** What was refused to an app because of its name; the last twenty of them. */
export class RefusedNames {
  readonly #clock: Clock
  readonly #kept = new Map<string, RefusedName>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `to`: the host, with its port if it is known. `why`: a half sentence. */
  add(to: string, why: string): void {
    const key = printable(to)
    const count = (this.#kept.get(key)?.count ?? 0) + 1
    this.#kept.delete(key)
    this.#kept.set(key, { to: key, why, at: timestamp(this.#clock), count })
    if (this.#kept.size <= MOST_KEPT) return
    for (const oldest of this.#kept.keys()) {
      this.#kept.delete(oldest)
      return
    }
  }

  /** Latest last. */
  get all(): readonly RefusedName[] {
    return [...this.#kept.values()]
  }
}

/** An app writes what it likes as a name. */
const printable = (text: string): string => text.replace(/[^\x21-\x7e]/g, '?').slice(0, MOST_TEXT)
