import type { LogLine } from '../../../../model/instance.ts'

export type KeptLine = LogLine & { readonly id: number }
/** Some lines in their order. A full block never changes, so that it is drawn once. */
export type Block = { readonly id: number; readonly lines: readonly KeptLine[] }

const BLOCK = 200

/** The newest lines of a log, at most `most` and a block more. Older ones are let go of in whole blocks. */
export class LogBuffer {
  readonly #most: number
  #blocks: readonly Block[] = []
  #next = 0
  #dropped = 0

  constructor(most: number) {
    this.#most = most
  }

  get blocks(): readonly Block[] {
    return this.#blocks
  }

  /** How many lines were let go of. */
  get dropped(): number {
    return this.#dropped
  }

  get count(): number {
    return this.#next - this.#dropped
  }

  add(lines: readonly LogLine[]): void {
    const blocks = [...this.#blocks]
    for (let at = 0; at < lines.length; ) {
      const last = blocks.at(-1)
      const room = last === undefined ? 0 : BLOCK - last.lines.length
      const some = lines.slice(at, at + (room > 0 ? room : BLOCK)).map(line => ({ ...line, id: this.#next++ }))
      at += some.length
      if (room > 0 && last !== undefined) blocks[blocks.length - 1] = { ...last, lines: [...last.lines, ...some] }
      else blocks.push({ id: some[0]?.id ?? this.#next, lines: some })
    }
    let count = this.count
    let gone = 0
    for (const block of blocks) {
      if (count - block.lines.length < this.#most) break
      count -= block.lines.length
      this.#dropped += block.lines.length
      gone += 1
    }
    this.#blocks = blocks.slice(gone)
  }

  clear(): void {
    this.#blocks = []
    this.#dropped = this.#next
  }
}
