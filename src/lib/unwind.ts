/** A resource that is held, and how to release it. An undo may be repeated: "already released" is success. */
export type Undo = { readonly name: string; readonly undo: () => Promise<void> }

/**
 * The held resources, newest last. Push the undo before the step, so that an interrupted step is undone too.
 * Unwinding stops at the first undo that fails and keeps it, so that a disk that cannot be unmounted is never detached
 * (AsyncDisposableStack goes on after a failure, which is wrong for disks).
 */
export class Unwind {
  readonly #undos: Undo[] = []

  push(name: string, undo: () => Promise<void>): void {
    this.#undos.push({ name, undo })
  }

  /** The names of what is still held, oldest first. */
  get held(): readonly string[] {
    return this.#undos.map(({ name }) => name)
  }

  /** Undoes the newest first. Throws the error of the first undo that fails; that one and all older ones stay held. */
  async unwind(): Promise<void> {
    for (let last = this.#undos.at(-1); last !== undefined; last = this.#undos.at(-1)) {
      await last.undo()
      this.#undos.pop()
    }
  }
}
