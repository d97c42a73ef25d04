const NOTHING = Buffer.alloc(0)

/** The bytes that were read from a client and not processed yet: from `at` to `end` of `bytes`. */
export class ReadAhead {
  bytes: Buffer = NOTHING
  at = 0
  end = 0
  /** The memory is overwritten after the call in which the bytes were received. */
  lent = false

  get isEmpty(): boolean {
    return this.at >= this.end
  }

  get length(): number {
    return this.end - this.at
  }

  /** Appends bytes that were read. */
  add(bytes: Buffer, length: number, lent: boolean): void {
    if (this.isEmpty) {
      this.bytes = bytes
      this.end = length
      this.lent = lent
      this.at = 0
    } else this.#own(Buffer.concat([this.bytes.subarray(this.at, this.end), bytes.subarray(0, length)]))
  }

  /** Prepends bytes. */
  unshift(bytes: Buffer): void {
    this.#own(Buffer.concat([bytes, this.bytes.subarray(this.at, this.end)]))
  }

  /** Copies the bytes to memory of their own. */
  keep(): void {
    this.#own(Buffer.from(this.bytes.subarray(this.at, this.end)))
  }

  /** Returns a copy of the bytes, and clears them. */
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
