/** A connection that may stand in the list of idle ones; the list alone sets these fields. */
export interface MayIdle<Self> {
  isIdle: boolean
  idledBefore: Self | undefined
  idledAfter: Self | undefined
}

/** The connections that have asked for nothing since they came or had their last answer, the longest idle first. */
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

  /** Takes out the one that has been idle for longest. */
  takeOldest(): Item | undefined {
    const oldest = this.#oldest
    if (oldest !== undefined) this.remove(oldest)
    return oldest
  }
}
