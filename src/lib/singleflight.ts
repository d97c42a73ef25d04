/** Runs one task at a time. Callers that come while it runs share it. */
export class Singleflight {
  #pending: Promise<void> | undefined

  get isUnderWay(): boolean {
    return this.#pending !== undefined
  }

  /**
   * Joins the running task, or starts this one. A failed task is forgotten, so that the next call starts a new one.
   * `fail` ends the wait of all callers at once, while the task itself goes on.
   */
  // No await in here: between reading `#pending` and setting it, two tasks could start.
  join(task: (fail: (error: unknown) => void) => Promise<void>): Promise<void> {
    if (this.#pending !== undefined) return this.#pending
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const settle = (): void => {
      if (this.#pending === promise) this.#pending = undefined
    }
    const fail = (error: unknown): void => {
      settle()
      reject(error)
    }
    promise.catch(() => undefined) // each caller gets the error; all callers may have left
    this.#pending = promise
    task(fail).then(() => {
      settle()
      resolve()
    }, fail)
    return promise
  }
}
