import type { Container, Exit, Runtime } from './runtime/runtime.ts'

type Told = {
  readonly ended: (exit: Exit) => void
  /** The runtime lost sight of the container: it may run or not. */
  readonly lost: () => void
}

/** The watch for a container's end, from its start until somebody ends the watch. */
export class Watch {
  readonly #container: Container
  readonly #runtime: Runtime
  #ended = new AbortController()
  #told: Told | undefined
  /** Its end, told once; undefined where the runtime lost sight of it. Rejects when the watch is ended. */
  exited: Promise<Exit | undefined>

  constructor(container: Container, runtime: Runtime) {
    this.#container = container
    this.#runtime = runtime
    this.exited = runtime.exited(container, this.#ended.signal)
  }

  /** Tells of the container's end from now on, unless the watch is ended first. */
  tell(told: Told): void {
    this.#told = told
    const { signal } = this.#ended
    this.exited.then(
      exit => {
        if (signal.aborted) return
        if (exit === undefined) told.lost()
        else told.ended(exit)
      },
      () => signal.aborted || told.lost(),
    )
  }

  /** Watches anew: for when the runtime lost sight of the container, and it runs all the same. */
  again(): void {
    this.end()
    this.#ended = new AbortController()
    this.exited = this.#runtime.exited(this.#container, this.#ended.signal)
    if (this.#told !== undefined) this.tell(this.#told)
  }

  end(): void {
    this.#ended.abort()
  }
}
