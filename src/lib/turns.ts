import { orAborted } from './abort.ts'

/** Lets at most `most` tasks run at a time; others wait in the order of their calls. */
export class Turns {
  readonly #most: number
  #running = 0
  readonly #waiting = new Set<() => void>()

  constructor(most: number) {
    this.#most = most
  }

  /** Runs the task when it has its turn. Rejects with the signal's reason if that aborts while it waits. */
  async take<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turn(signal)
    try {
      return await task()
    } finally {
      this.#running -= 1
      const [next] = this.#waiting
      next?.()
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#running < this.#most) {
      this.#running += 1
      return
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    const begin = (): void => {
      this.#waiting.delete(begin)
      this.#running += 1
      resolve()
    }
    this.#waiting.add(begin)
    try {
      await orAborted(promise, signal)
    } catch (error) {
      this.#waiting.delete(begin)
      throw error
    }
  }
}
