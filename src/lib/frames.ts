/** A message on a stream of bytes: a type, and a payload. */
export type Frame = { readonly type: number; readonly payload: Buffer }

const HEADER = 5

/** The bytes of a frame: its type, the length of its payload in four bytes, and the payload. */
export function encodeFrame(type: number, payload: Uint8Array = NOTHING): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER + payload.length)
  bytes[0] = type
  bytes.writeUInt32BE(payload.length, 1)
  bytes.set(payload, HEADER)
  return bytes
}

/**
 * Reads frames until the stream ends. Throws what `fault` makes of a message if a payload is longer than `mostBytes`, or if the stream ends
 * within a frame.
 */
export async function* readFrames(
  chunks: AsyncIterable<Uint8Array>,
  mostBytes: number,
  fault: (message: string) => Error,
): AsyncGenerator<Frame> {
  let rest: Buffer = NOTHING
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    let from = 0
    while (rest.length - from >= HEADER) {
      const length = rest.readUInt32BE(from + 1)
      if (length > mostBytes) throw fault(`a frame of ${length} bytes came; ${mostBytes} are allowed`)
      const end = from + HEADER + length
      if (rest.length < end) break
      yield { type: rest[from] as number, payload: rest.subarray(from + HEADER, end) }
      from = end
    }
    rest = rest.subarray(from)
  }
  if (rest.length > 0) throw fault('the stream ended within a frame')
}

const NOTHING = Buffer.alloc(0)
