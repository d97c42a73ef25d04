import { orAborted } from './abort.ts'

/** Tells followers that something changed; a slow one misses what was between, never the last. */
export class Changes {
  readonly #followers = new Set<() => void>()

  tell(): void {
    for (const follower of this.#followers) follower()
  }

  /** What `look` gives, now and after each change, until the signal aborts. */
  async *follow<T>(look: () => T, signal: AbortSignal): AsyncGenerator<T> {
    let changed = Promise.withResolvers<void>()
    const tell = (): void => changed.resolve()
    this.#followers.add(tell)
    try {
      while (!signal.aborted) {
        yield look()
        await orAborted(changed.promise, signal).catch(() => undefined) // the loop's head ends it
        changed = Promise.withResolvers()
      }
    } finally {
      this.#followers.delete(tell)
    }
  }
}
