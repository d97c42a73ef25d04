import { orAborted } from './abort.ts'

/** Informs followers that something changed. A slow follower may miss intermediate states, but never the last one. */
export class Notifier {
  readonly #followers = new Set<() => void>()

  notify(): void {
    for (const follower of this.#followers) follower()
  }

  /** Yields the result of `read` now and after each change, until the signal aborts. */
  async *follow<T>(read: () => T, signal: AbortSignal): AsyncGenerator<T> {
    let changed = Promise.withResolvers<void>()
    const notify = (): void => changed.resolve()
    this.#followers.add(notify)
    try {
      while (!signal.aborted) {
        yield read()
        await orAborted(changed.promise, signal).catch(() => undefined) // an abort ends the loop at its head
        changed = Promise.withResolvers()
      }
    } finally {
      this.#followers.delete(notify)
    }
  }
}
