import { orAborted } from './abort.ts'

type Waiting = { readonly begin: () => void }

/**
 * Lets at most `most` tasks run at a time; others wait. Keys have their turns in the order in which they came, and the tasks of one key one turn each
 * before it is that key's turn again: one with many tasks does not keep the others waiting.
 */
export class Turns<K> {
  readonly #most: number
  #running = 0
  /** In the order of their turns. */
  readonly #waiting = new Map<K, Set<Waiting>>()

  constructor(most: number) {
    this.#most = most
  }

  /** How many tasks wait. */
  get waiting(): number {
    let count = 0
    for (const { size } of this.#waiting.values()) count += size
    return count
  }

  /** Resolves when a task of the key has its turn, which ends when the result is disposed of. Rejects with the signal's reason if that aborts before. */
  async take(key: K, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted()
    if (this.#running < this.#most) this.#running += 1
    else await this.#turn(key, signal)
    let isOver = false
    return {
      [Symbol.dispose]: () => {
        if (isOver) return
        isOver = true
        this.#next()
      },
    }
  }

  /** Runs the task when it has its turn. */
  async run<T>(key: K, task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    using _turn = await this.take(key, signal)
    return await task()
  }

  async #turn(key: K, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiting: Waiting = { begin: resolve }
    const ofKey = this.#waiting.get(key) ?? new Set()
    ofKey.add(waiting)
    this.#waiting.set(key, ofKey)
    try {
      await orAborted(promise, signal)
    } catch (error) {
      // It may have got its turn at the moment at which it left.
      if (!ofKey.delete(waiting)) this.#next()
      else if (ofKey.size === 0) this.#waiting.delete(key)
      throw error
    }
  }

  /** Gives a turn that has ended to the next one. */
  #next(): void {
    const [first] = this.#waiting
    if (first === undefined) {
      this.#running -= 1
      return
    }
    const [key, ofKey] = first
    const [next] = ofKey
    this.#waiting.delete(key)
    if (next !== undefined) ofKey.delete(next)
    if (ofKey.size > 0) this.#waiting.set(key, ofKey)
    next?.begin()
  }
}
