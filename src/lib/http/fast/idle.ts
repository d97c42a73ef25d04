import type { Client } from './client.ts'

/** The clients that have asked for nothing since they came or had their last answer, the longest idle first. */
export class IdleClients {
  #oldest: Client | undefined
  #newest: Client | undefined

  add(client: Client): void {
    client.isIdle = true
    client.idledBefore = this.#newest
    if (this.#newest === undefined) this.#oldest = client
    else this.#newest.idledAfter = client
    this.#newest = client
  }

  remove(client: Client): void {
    if (!client.isIdle) return
    const { idledBefore, idledAfter } = client
    if (idledBefore === undefined) this.#oldest = idledAfter
    else idledBefore.idledAfter = idledAfter
    if (idledAfter === undefined) this.#newest = idledBefore
    else idledAfter.idledBefore = idledBefore
    client.isIdle = false
    client.idledBefore = client.idledAfter = undefined
  }

  /** Takes out the one that has been idle for longest. */
  takeOldest(): Client | undefined {
    const oldest = this.#oldest
    if (oldest !== undefined) this.remove(oldest)
    return oldest
  }
}
