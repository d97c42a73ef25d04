/** One thing that is held and how to let go of it; an undo may be repeated: "already so" is success. */
export type Undo = { readonly name: string; readonly undo: () => Promise<void> }

/**
 * What is held, newest last. The undo is pushed before the deed, so that a deed cut short is undone too. Unwinding stops
 * at the first undo that fails and keeps it, so that a disk that will not unmount is never detached
 * (AsyncDisposableStack goes on after a failure: wrong for disks).
 */
export class Unwind {
  readonly #undos: Undo[] = []

  push(name: string, undo: () => Promise<void>): void {
    this.#undos.push({ name, undo })
  }

  /** Names of what is still held, oldest first. */
  get held(): readonly string[] {
    return this.#undos.map(({ name }) => name)
  }

  /** Undoes newest first; throws what the first failing undo threw, and still holds that one and all before it. */
  async unwind(): Promise<void> {
    for (let last = this.#undos.at(-1); last !== undefined; last = this.#undos.at(-1)) {
      await last.undo()
      this.#undos.pop()
    }
  }
}
