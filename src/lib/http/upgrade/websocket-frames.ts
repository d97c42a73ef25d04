/** Follows WebSocket frames (RFC 6455, 5.2) through a stream of chunks, to know where one ends and another may be put in. */
export class FrameBoundaries {
  /** Bytes of a head that were seen, and how many it has, as far as they tell. */
  #seen = 0
  #size = SHORTEST_HEAD
  #extended = 0
  #length = 0
  #payloadLeft = 0

  /** Whether the bytes seen so far end at the end of a frame. */
  get atBoundary(): boolean {
    return this.#seen === 0 && this.#payloadLeft === 0
  }

  /** Takes the next bytes in, up to `end`; gives the offset in them just after the last frame that ends in them, or -1. */
  push(chunk: Uint8Array, end = chunk.length): number {
    let boundary = -1
    let at = 0
    while (at < end) {
      if (this.#payloadLeft > 0) {
        const skipped = Math.min(this.#payloadLeft, end - at)
        this.#payloadLeft -= skipped
        at += skipped
      } else {
        this.#head(chunk[at] as number)
        at += 1
      }
      if (this.atBoundary) boundary = at
    }
    return boundary
  }

  #head(byte: number): void {
    if (this.#seen === 1) {
      const short = byte & 0x7f
      this.#extended = short === 126 ? 2 : short === 127 ? 8 : 0
      this.#length = this.#extended === 0 ? short : 0
      this.#size = SHORTEST_HEAD + this.#extended + (byte & 0x80 ? MASK : 0)
    } else if (this.#seen > 1 && this.#seen < SHORTEST_HEAD + this.#extended) this.#length = this.#length * 256 + byte
    this.#seen += 1
    if (this.#seen < this.#size) return
    this.#payloadLeft = this.#length
    this.#seen = 0
    this.#size = SHORTEST_HEAD
  }
}

const SHORTEST_HEAD = 2
const MASK = 4
