/** One deed at a time, shared by all who want it meanwhile. */
export class Singleflight {
  #flight: Promise<void> | undefined

  get isUnderWay(): boolean {
    return this.#flight !== undefined
  }

  /**
   * Resolves with the deed that is under way, or else begins this one; its failure is forgotten, so that the next one tries again.
   * `fail` ends the wait of all at once, while the deed goes on behind it.
   */
  // No await in here: between looking at `#flight` and setting it is where two deeds would slip in.
  join(deed: (fail: (error: unknown) => void) => Promise<void>): Promise<void> {
    if (this.#flight !== undefined) return this.#flight
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const settle = (): void => {
      if (this.#flight === promise) this.#flight = undefined
    }
    const fail = (error: unknown): void => {
      settle()
      reject(error)
    }
    promise.catch(() => undefined) // those who wait are told; all may have left
    this.#flight = promise
    deed(fail).then(() => {
      settle()
      resolve()
    }, fail)
    return promise
  }
}
