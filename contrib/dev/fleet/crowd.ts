import type { Visitor } from '../../../test/tools/visitor.ts'

/** Clients that ask for an app again and again, each as soon as it has its answer. */
export class Crowd {
  answered = 0
  readonly failures: string[] = []
  readonly #visitor: Visitor
  readonly #app: string
  #clients: Promise<void>[] = []
  #stopped = false

  constructor(visitor: Visitor, app: string) {
    this.#visitor = visitor
    this.#app = app
  }

  come(clients: number): void {
    this.#stopped = false
    this.#clients = Array.from({ length: clients }, () => this.#ask())
  }

  /** Resolves when each one has its last answer. */
  async leave(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#clients)
  }

  async #ask(): Promise<void> {
    while (!this.#stopped) {
      try {
        const { status, text } = await this.#visitor.ask(this.#app, '/slow?ms=200')
        if (status === 200) this.answered++
        else this.failures.push(`${status} ${text.trim()}`)
      } catch (error) {
        this.failures.push(String(error))
        return
      }
    }
  }
}
