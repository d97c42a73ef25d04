import type { FileHandle } from 'node:fs/promises'
import type { Extent } from '../../lib/sparse.ts'
import { BlockHashes, hashOf, NO_DATA } from './block-hashes.ts'
import { blocksIn, readBlock } from './image-sender.ts'

/**
 * A digest of an image of this size, and how much of the image is not zeros. Only its data is read. A block of zeros counts as a hole, so an
 * image that was restored with other holes has the same digest.
 */
export async function imageDigest(
  file: FileHandle,
  extents: readonly Extent[],
  size: number,
  signal: AbortSignal,
): Promise<{ readonly digest: string; readonly dataBytes: number }> {
  const hashes = new BlockHashes()
  hashes.resize(size)
  let dataBytes = 0
  for (const block of blocksIn(extents, size)) {
    signal.throwIfAborted()
    const bytes = await readBlock(file, block, size)
    const hash = await hashOf(bytes)
    if (hash !== NO_DATA) dataBytes += bytes.length
    hashes.set(block, hash)
  }
  return { digest: hashes.root().toString('hex'), dataBytes }
}
