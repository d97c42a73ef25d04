import type { Container, Exit, Runtime } from './runtime/runtime.ts'

type Listener = {
  readonly ended: (exit: Exit) => void
  /** The runtime lost sight of the container: it may run or not. */
  readonly lost: () => void
}

/** Watches for the end of a container. */
export class ExitWatch {
  readonly #container: Container
  readonly #runtime: Pick<Runtime, 'exited'>
  #ended = new AbortController()
  #listener: Listener | undefined
  #isLost = false
  /** Resolves with its end; with undefined if the runtime lost sight of it. Rejects when the watch ends. */
  exited: Promise<Exit | undefined>

  constructor(container: Container, runtime: Pick<Runtime, 'exited'>) {
    this.#container = container
    this.#runtime = runtime
    this.exited = this.#watched()
  }

  /** Notifies the listener of the container's end, unless the watch ends first. */
  listen(listener: Listener): void {
    this.#listener = listener
    const { signal } = this.#ended
    this.exited.then(
      exit => {
        if (signal.aborted) return
        if (exit === undefined) listener.lost()
        else listener.ended(exit)
      },
      () => signal.aborted || listener.lost(),
    )
  }

  /**
   * Watches anew if the runtime has lost sight of the container, or if it runs no more by what the runtime tells now: then the word of its end was
   * lost. While the watch goes on, the runtime is not asked: a thousand containers are looked at twice a minute.
   */
  compare(isRunning: boolean): void {
    if (isRunning && !this.#isLost) return
    this.end()
    this.#ended = new AbortController()
    this.#isLost = false
    this.exited = this.#watched()
    if (this.#listener !== undefined) this.listen(this.#listener)
  }

  end(): void {
    this.#ended.abort()
  }

  #watched(): Promise<Exit | undefined> {
    const { signal } = this.#ended
    const exited = this.#runtime.exited(this.#container, signal)
    const isLost = (): void => {
      if (signal === this.#ended.signal) this.#isLost = true
    }
    exited.then(exit => exit === undefined && isLost(), isLost)
    return exited
  }
}
