/** Follows WebSocket frames (RFC 6455, 5.2) through a stream of chunks, to know where one ends and another may be put in. */
export class FrameBoundaries {
  readonly #head: number[] = []
  #payloadLeft = 0

  /** Whether the bytes seen so far end at the end of a frame. */
  get atBoundary(): boolean {
    return this.#head.length === 0 && this.#payloadLeft === 0
  }

  /** Takes the next bytes in; gives the offset in them just after the last frame that ends in them, or -1. */
  push(chunk: Uint8Array): number {
    let boundary = -1
    let at = 0
    while (at < chunk.length) {
      if (this.#payloadLeft > 0) {
        const skipped = Math.min(this.#payloadLeft, chunk.length - at)
        this.#payloadLeft -= skipped
        at += skipped
      } else {
        this.#head.push(chunk[at] ?? 0)
        at += 1
        const length = payloadLength(this.#head)
        if (length === undefined) continue
        this.#payloadLeft = length
        this.#head.length = 0
      }
      if (this.atBoundary) boundary = at
    }
    return boundary
  }
}

/** The length of the payload once the whole head is there. */
function payloadLength(head: readonly number[]): number | undefined {
  const [, second] = head
  if (second === undefined) return undefined
  const short = second & 0x7f
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0
  const mask = second & 0x80 ? 4 : 0
  if (head.length < 2 + extended + mask) return undefined
  if (extended === 0) return short
  let length = 0
  for (const byte of head.slice(2, 2 + extended)) length = length * 256 + byte
  return length
}
