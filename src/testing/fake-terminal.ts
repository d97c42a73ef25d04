import { Readable, Writable } from 'node:stream'
import type { Terminal } from '../cli/terminal.ts'

type Given = {
  env?: Record<string, string>
  answers?: string[]
  now?: number
  /** What comes by a pipe; left out: stdin is a terminal. */
  stdin?: AsyncIterable<Uint8Array>
  outIsTerminal?: boolean
}

/** A terminal that keeps its output. With `answers`, it is interactive and gives these answers. */
export class FakeTerminal implements Terminal {
  readonly env: Readonly<Record<string, string>>
  readonly interactive: boolean
  readonly colours = false
  readonly asked: string[] = []
  stdout = ''
  stderr = ''
  readonly #answers: string[]
  readonly #now: number
  readonly pipes: Terminal['pipes']
  readonly screen = undefined
  /** What was written to stdout as bytes. */
  readonly bytes: Buffer[] = []

  constructor({ env = {}, answers, now = 0, stdin, outIsTerminal = false }: Given = {}) {
    this.env = env
    this.interactive = answers !== undefined
    this.#answers = [...(answers ?? [])]
    this.#now = now
    const out = new Writable({
      write: (bytes, _, done) => {
        this.bytes.push(bytes)
        done()
      },
    })
    const err = new Writable({
      write: (bytes, _, done) => {
        this.stderr += bytes.toString()
        done()
      },
    })
    this.pipes = { in: stdin ?? Readable.from([]), inIsTerminal: stdin === undefined, out, outIsTerminal, err }
  }

  out = (text: string): void => {
    this.stdout += text
  }

  err = (text: string): void => {
    this.stderr += text
  }

  live = (): void => undefined

  ask = async (question: string): Promise<string> => {
    this.asked.push(question)
    return this.#answers.shift() ?? ''
  }

  askSecret = async (question: string): Promise<string | undefined> =>
    this.interactive ? this.ask(question) : undefined

  now = (): number => this.#now

  redraw = (text: string): void => this.out(text)

  outlive = (): void => undefined

  raw = (): void => undefined

  style = (_style: string, text: string): string => text
}
