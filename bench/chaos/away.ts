/**
 * When each front could not serve, because its process or its machine was ended, stopped or cut off. A front that is `restarted` finishes the
 * requests that it has taken, and then takes no connection for a while.
 */
export class Away {
  readonly #times = new Map<string, { from: number; to: number; isRestart: boolean }[]>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** The front goes away. Returns how to tell that it is back. */
  leave(front: string, { isRestart }: { readonly isRestart: boolean }): () => void {
    const time = { from: this.#now(), to: Number.POSITIVE_INFINITY, isRestart }
    this.#times.set(front, [...(this.#times.get(front) ?? []), time])
    return () => {
      time.to = this.#now()
    }
  }

  /** Whether the front was away at some moment from then until now. `isRefused`: it took no connection. */
  was(front: string, from: number, { isRefused }: { readonly isRefused: boolean }): boolean {
    return this.#times.get(front)?.some(({ to, isRestart }) => to >= from && (isRefused || !isRestart)) === true
  }
}
