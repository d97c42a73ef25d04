import { createHash, webcrypto } from 'node:crypto'

/** Images are compared and sent in blocks of this size. */
export const BLOCK = 256 * 1024
const HASH = 32
const ZEROS = Buffer.alloc(BLOCK)

/** The hash of a block; all zeros for a block of zeros, which need not be read to be known. */
export type BlockHash = Buffer
export const NO_DATA: BlockHash = Buffer.alloc(HASH)

/** Hashes a block on another thread: the node goes on forwarding requests meanwhile. */
export async function hashOf(bytes: Buffer): Promise<BlockHash> {
  if (bytes.equals(ZEROS.subarray(0, bytes.length))) return NO_DATA
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>))
}

/** The hashes of all blocks of an image: 128 KiB for each GiB. A new one is of an image without data. */
export class BlockHashes {
  #table = Buffer.alloc(0)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Sets the size of the image in bytes. An image that grows has no data at its end; none shrinks. */
  resize(size: number): void {
    const table = Buffer.alloc(HASH * Math.ceil(size / BLOCK))
    this.#table.copy(table)
    this.#table = table
    this.#size = size
  }

  at(block: number): BlockHash {
    return this.#table.subarray(HASH * block, HASH * (block + 1))
  }

  set(block: number, hash: BlockHash): void {
    hash.copy(this.#table, HASH * block)
  }

  /** The checksum of the whole image, which is one of its size and all its blocks. */
  root(): Buffer {
    return createHash('sha256').update(`${this.#size}\n`).update(this.#table).digest()
  }
}
