import type { Output } from './terminal.ts'

const HEADER = 8
const STDERR = 2

/**
 * What a container writes on a connection of Docker's. A terminal's bytes come as they are. Without a terminal each piece has a header of
 * eight bytes: the stream, three zeros, and the length. A long piece is passed on in parts, so that it takes no memory.
 */
export async function* attachedOutput(chunks: AsyncIterable<Buffer>, isTerminal: boolean): AsyncGenerator<Output> {
  let rest: Buffer = Buffer.alloc(0)
  let left = 0
  let stream: Output['stream'] = 'stdout'
  for await (const chunk of chunks) {
    if (isTerminal) {
      yield { stream: 'stdout', bytes: chunk }
      continue
    }
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (;;) {
      if (left === 0) {
        if (rest.length < HEADER) break
        stream = rest[0] === STDERR ? 'stderr' : 'stdout'
        left = rest.readUInt32BE(4)
        rest = rest.subarray(HEADER)
      }
      const bytes = rest.subarray(0, left)
      if (bytes.length > 0) yield { stream, bytes }
      left -= bytes.length
      rest = rest.subarray(bytes.length)
      if (left > 0) break
    }
  }
}
