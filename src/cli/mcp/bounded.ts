/** So much of what a command writes, or a file has, goes into one answer. */
export const MOST_BYTES = 65_536

/** Keeps the first and the last part of what is written, and how much was left out between them. */
export class Bounded {
  readonly #most: number
  readonly #first: Buffer[] = []
  #firstBytes = 0
  #last = Buffer.alloc(0)
  #bytes = 0

  constructor(most: number) {
    this.#most = most
  }

  write(bytes: Uint8Array): void {
    this.#bytes += bytes.length
    const half = this.#most / 2
    const head = bytes.subarray(0, half - this.#firstBytes)
    if (head.length > 0) this.#first.push(Buffer.from(head))
    this.#firstBytes += head.length
    const rest = bytes.subarray(head.length)
    if (rest.length > 0) this.#last = Buffer.concat([this.#last, rest]).subarray(-half)
  }

  get bytes(): number {
    return this.#bytes
  }

  get text(): string {
    const left = this.#bytes - this.#firstBytes - this.#last.length
    const note = left === 0 ? '' : `\n[${left} bytes are left out here: one answer has ${this.#most} bytes at most]\n`
    return `${Buffer.concat(this.#first)}${note}${this.#last}`
  }
}
