/** Follows the frames of a WebSocket (RFC 6455, 5.2) through a stream of chunks, to find where a frame of our own can be inserted. */
export class FrameBoundaries {
  /** Bytes of a frame's head that were seen, and the length of the head as far as it is known. */
  #seen = 0
  #size = SHORTEST_HEAD
  #extended = 0
  #length = 0
  #payloadLeft = 0

  /** Whether the bytes so far end with a whole frame. */
  get atBoundary(): boolean {
    return this.#seen === 0 && this.#payloadLeft === 0
  }

  /** Reads the next bytes, up to `end`. Returns the offset after the last frame that ends in them, or -1. */
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
