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
