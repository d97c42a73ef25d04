export type ByteReader = {
  /** Exactly so many bytes. Fails with the error of the reader if the stream ends before. */
  take(length: number): Promise<Buffer>
  /** The next bytes as they come, at most so many; fails as `take` does. */
  some(most: number): Promise<Buffer>
  /** Whether the stream has ended; waits for its next bytes. */
  isOver(): Promise<boolean>
}

/** Reads a stream by lengths. It never ends the stream. `cutShort` makes the error for a stream that ends too early. */
export function byteReader(stream: AsyncIterable<Uint8Array>, cutShort: () => Error): ByteReader {
  const source = stream[Symbol.asyncIterator]()
  let rest: Buffer = Buffer.alloc(0)
  const more = async (): Promise<Buffer | undefined> => {
    const { done, value } = await source.next()
    return done === true ? undefined : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  }
  const isOver = async (): Promise<boolean> => {
    while (rest.length === 0) {
      const bytes = await more()
      if (bytes === undefined) return true
      rest = bytes
    }
    return false
  }
  return {
    isOver,
    async take(length) {
      const parts = [rest]
      let have = rest.length
      while (have < length) {
        const bytes = await more()
        if (bytes === undefined) throw cutShort()
        parts.push(bytes)
        have += bytes.length
      }
      const all = parts.length === 1 ? rest : Buffer.concat(parts)
      rest = all.subarray(length)
      return all.subarray(0, length)
    },
    async some(most) {
      if (await isOver()) throw cutShort()
      const bytes = rest.subarray(0, most)
      rest = rest.subarray(bytes.length)
      return bytes
    },
  }
}
