import type { Terminal } from '../cli/terminal.ts'

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

  constructor({ env = {}, answers, now = 0 }: { env?: Record<string, string>; answers?: string[]; now?: number } = {}) {
    this.env = env
    this.interactive = answers !== undefined
    this.#answers = [...(answers ?? [])]
    this.#now = now
  }

  out = (text: string): void => {
    this.stdout += text
  }

  err = (text: string): void => {
    this.stderr += text
  }

  ask = async (question: string): Promise<string> => {
    this.asked.push(question)
    return this.#answers.shift() ?? ''
  }

  now = (): number => this.#now

  outlive = (): void => undefined

  raw = (): void => undefined

  style = (_style: string, text: string): string => text
}
