import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { ShadowError } from '../../lib/errors.ts'

/** The largest piece of an image in one frame. A piece that is all zeros is not sent: in the copy it is a hole. */
const PIECE = 256 * 1024
const HEADER = 16
const DIGEST = 32

/**
 * The bytes of an image, holes left out. The stream has the size of the image (8 bytes), then a frame for each piece with data (its offset and
 * its length, 8 bytes each, then its bytes), then a frame of length 0, then the SHA-256 of all before.
 */
export async function* packImage(path: string): AsyncGenerator<Buffer> {
  await using file = await open(path, 'r')
  const { size } = await file.stat()
  const hash = createHash('sha256')
  const hashed = (bytes: Buffer): Buffer => {
    hash.update(bytes)
    return bytes
  }
  const zeros = Buffer.alloc(PIECE)
  yield hashed(numbers(size))
  for (let at = 0; at < size; ) {
    // A buffer for each piece: the stream may keep the last one for a while.
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(PIECE), 0, PIECE, at)
    if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`)
    const piece = buffer.subarray(0, bytesRead)
    if (!piece.equals(zeros.subarray(0, bytesRead))) yield hashed(Buffer.concat([numbers(at, bytesRead), piece]))
    at += bytesRead
  }
  yield hashed(numbers(size, 0))
  yield hash.digest()
}

/**
 * Writes the image of such a stream to a new file, and syncs it. It reads no further than the end of the image, and leaves the stream open.
 * Fails if the stream ends too early, or the bytes are not those that were sent.
 */
export async function unpackImage(stream: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const hash = createHash('sha256')
  const bytes = reader(stream[Symbol.asyncIterator]())
  const take = async (length: number): Promise<Buffer> => {
    const taken = await bytes(length)
    hash.update(taken)
    return taken
  }
  await using file = await open(path, 'wx', 0o600)
  const size = Number((await take(8)).readBigUInt64BE())
  await file.truncate(size)
  for (;;) {
    const header = await take(HEADER)
    const at = Number(header.readBigUInt64BE())
    const length = Number(header.readBigUInt64BE(8))
    if (length === 0) break
    if (length > PIECE || at + length > size) throw damaged()
    await file.write(await take(length), 0, length, at)
  }
  if (!(await bytes(DIGEST)).equals(hash.digest())) throw damaged()
  await file.sync()
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length)
  for (const [at, value] of values.entries()) bytes.writeBigUInt64BE(BigInt(value), 8 * at)
  return bytes
}

/** Takes exactly so many bytes from the stream, and never ends it: its sender waits for that. */
function reader(stream: AsyncIterator<Uint8Array>): (length: number) => Promise<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  return async length => {
    const parts = [rest]
    let have = rest.length
    while (have < length) {
      const { done, value } = await stream.next()
      if (done === true) throw new ShadowError('node-unreachable', 'the image of the volume ended before its last byte')
      parts.push(Buffer.from(value))
      have += value.length
    }
    const all = Buffer.concat(parts)
    rest = all.subarray(length)
    return all.subarray(0, length)
  }
}

const damaged = (): ShadowError =>
  new ShadowError('internal', 'the image of the volume was damaged on its way: its checksum is another one')
