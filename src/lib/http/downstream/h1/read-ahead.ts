const NOTHING = Buffer.alloc(0)

/** What was read from a client and not used yet: from `at` to `end` of `bytes`. */
export class Input {
  bytes: Buffer = NOTHING
  at = 0
  end = 0
  /** The memory is read into again once the bytes have been looked at. */
  lent = false

  get isEmpty(): boolean {
    return this.at >= this.end
  }

  get length(): number {
    return this.end - this.at
  }

  /** Puts what was read behind what is left. */
  add(bytes: Buffer, length: number, lent: boolean): void {
    if (this.isEmpty) {
      this.bytes = bytes
      this.end = length
      this.lent = lent
      this.at = 0
    } else this.#own(Buffer.concat([this.bytes.subarray(this.at, this.end), bytes.subarray(0, length)]))
  }

  /** Puts bytes before what is left. */
  unshift(bytes: Buffer): void {
    this.#own(Buffer.concat([bytes, this.bytes.subarray(this.at, this.end)]))
  }

  /** Copies what is left to memory of its own. */
  keep(): void {
    this.#own(Buffer.from(this.bytes.subarray(this.at, this.end)))
  }

  /** Gives a copy of what is left, and forgets it. */
  take(): Buffer {
    this.keep()
    const { bytes } = this
    this.clear()
    return bytes
  }

  clear(): void {
    this.#own(NOTHING)
  }

  #own(bytes: Buffer): void {
    this.bytes = bytes
    this.at = 0
    this.end = bytes.length
    this.lent = false
  }
}
