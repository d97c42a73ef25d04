/** Runs tasks one at a time, in the order of the calls. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs the task when all earlier ones have ended, whether they succeeded or not. */
  take<T>(task: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(task, task)
    this.#last = mine.catch(() => undefined) // its own caller gets the failure; the next task must not
    return mine
  }
}

/** Tasks with the same key run one at a time; tasks with different keys run side by side. */
export class KeyedMutex<K> {
  readonly #byKey = new Map<K, { turn: Mutex; takers: number }>()

  async take<T>(key: K, task: () => Promise<T>): Promise<T> {
    const entry = this.#byKey.get(key) ?? { turn: new Mutex(), takers: 0 }
    this.#byKey.set(key, entry)
    entry.takers += 1
    try {
      return await entry.turn.take(task)
    } finally {
      entry.takers -= 1
      if (entry.takers === 0) this.#byKey.delete(key)
    }
  }
}
