/** Lets one at a time in, in the order they came. */
export class Turn {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs the deed when all who came before are done, whether they succeeded or not. */
  take<T>(deed: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(deed, deed)
    this.#last = mine.catch(() => undefined) // its own caller sees the failure; the next in line must not
    return mine
  }
}

/** Turns by key: deeds of one key one at a time, those of different keys side by side. */
export class Turns<K> {
  readonly #byKey = new Map<K, { turn: Turn; takers: number }>()

  async take<T>(key: K, deed: () => Promise<T>): Promise<T> {
    const entry = this.#byKey.get(key) ?? { turn: new Turn(), takers: 0 }
    this.#byKey.set(key, entry)
    entry.takers += 1
    try {
      return await entry.turn.take(deed)
    } finally {
      entry.takers -= 1
      if (entry.takers === 0) this.#byKey.delete(key)
    }
  }
}
