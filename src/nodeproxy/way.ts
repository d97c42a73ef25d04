import type { Held } from '../model/instance.ts'

const NO_HEADERS = {}

/** A way to an app that is awake here, kept open by a hold. */
export class WayTo implements Held {
  readonly address: string
  readonly headers = NO_HEADERS
  readonly refused: () => Promise<void>
  readonly waited: Held['waited']
  readonly #hold: Disposable

  constructor(address: string, refused: () => Promise<void>, waited: Held['waited'], hold: Disposable) {
    this.address = address
    this.refused = refused
    this.waited = waited
    this.#hold = hold
  }

  [Symbol.dispose](): void {
    this.#hold[Symbol.dispose]()
  }
}
