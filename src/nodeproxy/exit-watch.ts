import type { Container, Exit, Runtime } from './runtime/runtime.ts'

type Listener = {
  readonly ended: (exit: Exit) => void
  /** The runtime lost sight of the container: it may run or not. */
  readonly lost: () => void
}

/** Watches for the end of a container. */
export class ExitWatch {
  readonly #container: Container
  readonly #runtime: Runtime
  #ended = new AbortController()
  #listener: Listener | undefined
  /** Resolves with its end; with undefined if the runtime lost sight of it. Rejects when the watch ends. */
  exited: Promise<Exit | undefined>

  constructor(container: Container, runtime: Runtime) {
    this.#container = container
    this.#runtime = runtime
    this.exited = runtime.exited(container, this.#ended.signal)
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

  /** Watches anew, after the runtime lost sight of a container that still runs. */
  again(): void {
    this.end()
    this.#ended = new AbortController()
    this.exited = this.#runtime.exited(this.#container, this.#ended.signal)
    if (this.#listener !== undefined) this.listen(this.#listener)
  }

  end(): void {
    this.#ended.abort()
  }
}
