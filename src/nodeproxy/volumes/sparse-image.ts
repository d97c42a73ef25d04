import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { byteReader } from '../../lib/byte-reader.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Extent, readSparseMap } from '../../lib/sparse.ts'

const PIECE = 128 * 1024
/** The SHA-256 of all bytes before it ends the stream. */
const DIGEST = 32

/** The length of the stream of such an image. */
export const sparseLength = (map: Buffer, extents: readonly Extent[]): number =>
  extents.reduce((sum, [, length]) => sum + length, map.length) + DIGEST

/** An image as a sparse file of GNU tar (see `sparseMap`), and then a checksum. */
export async function* packSparse(file: FileHandle, map: Buffer, extents: readonly Extent[]): AsyncGenerator<Buffer> {
  const hash = createHash('sha256').update(map)
  yield map
  for (const [at, length] of extents)
    for (let done = 0; done < length; ) {
      const { bytesRead, buffer } = await file.read(
        Buffer.allocUnsafe(Math.min(PIECE, length - done)),
        0,
        null,
        at + done,
      )
      if (bytesRead === 0) throw new Error('the copy of the image became shorter while it was read')
      const bytes = buffer.subarray(0, bytesRead)
      hash.update(bytes)
      yield bytes
      done += bytesRead
    }
  yield hash.digest()
}

/** Writes such an image of this size to a new file, and syncs it. Fails with `bad-input` if the stream ends too early, or is not what was sent. */
export async function unpackSparse(stream: AsyncIterable<Uint8Array>, path: string, size: number): Promise<void> {
  const hash = createHash('sha256')
  const reader = byteReader(stream, () => damaged('it ends before its last byte'))
  const take = async (length: number): Promise<Buffer> => hashed(await reader.take(length))
  const hashed = (bytes: Buffer): Buffer => {
    hash.update(bytes)
    return bytes
  }
  await using file = await open(path, 'wx', 0o600)
  await file.truncate(size)
  let unsynced = 0
  for (const [at, length] of await readSparseMap(take, size, () => damaged('its map of holes is wrong')))
    for (let done = 0; done < length; ) {
      const bytes = hashed(await reader.some(Math.min(PIECE, length - done)))
      for (let written = 0; written < bytes.length; )
        written += (await file.write(bytes, written, bytes.length - written, at + done + written)).bytesWritten
      done += bytes.length
      unsynced += bytes.length
      if (unsynced < SYNC_EVERY) continue
      await file.datasync()
      unsynced = 0
    }
  if (!(await reader.take(DIGEST)).equals(hash.digest())) throw damaged('its checksum is another one')
  if (!(await reader.isOver())) throw damaged('it goes on after its end')
  await file.sync()
}

/** So that the last sync has little left to do, and little memory is dirty. */
const SYNC_EVERY = 32 * 1024 * 1024

const damaged = (how: string): ShadowError =>
  new ShadowError('bad-input', `the image of the volume is damaged: ${how}; nothing was changed`)
