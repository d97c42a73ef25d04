/** A connection that the list of idle connections can hold. Only the list sets these fields. */
export interface MayIdle<Self> {
  isIdle: boolean
  idledBefore: Self | undefined
  idledAfter: Self | undefined
}

/** The connections without a request, the one that has been idle for longest first. */
export class IdleList<Item extends MayIdle<Item>> {
  #oldest: Item | undefined
  #newest: Item | undefined

  add(item: Item): void {
    item.isIdle = true
    item.idledBefore = this.#newest
    if (this.#newest === undefined) this.#oldest = item
    else this.#newest.idledAfter = item
    this.#newest = item
  }

  remove(item: Item): void {
    if (!item.isIdle) return
    const { idledBefore, idledAfter } = item
    if (idledBefore === undefined) this.#oldest = idledAfter
    else idledBefore.idledAfter = idledAfter
    if (idledAfter === undefined) this.#newest = idledBefore
    else idledAfter.idledBefore = idledBefore
    item.isIdle = false
    item.idledBefore = item.idledAfter = undefined
  }

  /** Removes the connection that has been idle for longest, and returns it. */
  takeOldest(): Item | undefined {
    const oldest = this.#oldest
    if (oldest !== undefined) this.remove(oldest)
    return oldest
  }
}
