import { spinner } from '../spinner.ts'
import { paint, type Terminal } from '../terminal.ts'

/** The stages of a deploy as they pass: on a terminal the current one moves, elsewhere each is one line when it is done. */
export class Stages implements Disposable {
  readonly #terminal: Terminal
  #shown: Disposable | undefined
  #text = ''

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  /** Runs a stage. `done` says what came of it; undefined: nothing is printed. */
  async run<T>(text: string, work: () => Promise<T>, done: (value: T) => string | undefined): Promise<T> {
    const began = this.#terminal.now()
    this.#show(text)
    try {
      const value = await work()
      this.#hide()
      const said = done(value)
      if (said !== undefined) {
        const seconds = ((this.#terminal.now() - began) / 1000).toFixed(1)
        this.#terminal.err(
          `${paint(this.#terminal, 'green', 'ok')}  ${said} ${paint(this.#terminal, 'dim', `(${seconds} s)`)}\n`,
        )
      }
      return value
    } finally {
      this.#hide()
    }
  }

  /** Changes what is said of the current stage. */
  progress(text: string): void {
    this.#text = text
  }

  /** A line that stays, such as one of a build's log. */
  line(text: string): void {
    this.#terminal.err(`    ${text}\n`)
  }

  #show(text: string): void {
    this.#text = text
    this.#shown = spinner(this.#terminal, () => this.#text)
  }

  #hide(): void {
    this.#shown?.[Symbol.dispose]()
    this.#shown = undefined
  }

  [Symbol.dispose](): void {
    this.#hide()
  }
}
