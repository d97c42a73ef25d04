import { type FileHandle, open } from 'node:fs/promises'
import type { Exec } from '../../lib/exec.ts'
import type { Extent } from '../../lib/sparse.ts'
import { BLOCK, BlockHashes, hashOf, NO_DATA } from './block-hashes.ts'
import { dataExtents } from './data-extents.ts'
import { frame, KIND } from './image-frames.ts'

/** A receiver hears something at least once for so many bytes that were read and need not be sent. */
const BEAT_EVERY = 64 * 1024 * 1024

type Options = {
  readonly exec: Exec
  /** Takes a frame; resolves when the next one may come. */
  readonly put: (frame: Buffer) => Promise<void>
  /** Called with how many bytes of the pass were read and sent since the last call, and how many the pass has to read. */
  readonly onProgress: (read: number, sent: number, of: number) => void
}

/**
 * Sends an image in passes. Each pass reads all data of the image and sends the blocks that the receiver does not have. An image that is
 * written to meanwhile is not whole at the receiver until a pass has read it at rest.
 */
export class ImageSender {
  readonly #options: Options
  /** What the receiver has. */
  readonly #hashes = new BlockHashes()
  #passes = 0

  constructor(options: Options) {
    this.#options = options
  }

  /** Reads the image once, and resolves with how many bytes were sent. */
  async pass(path: string, { isAtRest }: { isAtRest: boolean }): Promise<number> {
    const { exec, put, onProgress } = this.#options
    const hashes = this.#hashes
    await using file = await open(path, 'r')
    const { size } = await file.stat()
    hashes.resize(size)
    this.#passes += 1
    await put(frame(KIND.pass, size, this.#passes))
    const blocks = blocksIn(await dataExtents(path, exec, { isAtRest }), size)
    const of = blocks.length * BLOCK
    let sent = 0
    let silent = 0
    let next = 0
    let ahead = blocks[0] === undefined ? undefined : readBlock(file, blocks[0], size)
    for (const [index, block] of blocks.entries()) {
      await this.#clear(next, block)
      next = block + 1
      const bytes = (await ahead) as Buffer
      const following = blocks[index + 1]
      ahead = following === undefined ? undefined : readBlock(file, following, size)
      ahead?.catch(() => undefined) // it is awaited in the next turn, unless this one fails
      const hash = await hashOf(bytes)
      const isKnown = hash.equals(hashes.at(block))
      silent += bytes.length
      if (isKnown) {
        if (silent >= BEAT_EVERY) await put(frame(KIND.beat))
      } else if (hash === NO_DATA) await put(frame(KIND.zeros, BLOCK * block, bytes.length))
      else {
        await put(frame(KIND.data, BLOCK * block, bytes.length, bytes))
        sent += bytes.length
      }
      if (!isKnown || silent >= BEAT_EVERY) silent = 0
      hashes.set(block, hash)
      onProgress(bytes.length, isKnown || hash === NO_DATA ? 0 : bytes.length, of)
    }
    await this.#clear(next, Math.ceil(size / BLOCK))
    return sent
  }

  /** Tells the receiver that it has the whole image. */
  async end(): Promise<void> {
    await this.#options.put(frame(KIND.end, 0, 0, this.#hashes.root()))
  }

  /** These blocks of the image have no data; the receiver is told of those that it has data of. */
  async #clear(from: number, end: number): Promise<void> {
    const hashes = this.#hashes
    for (let at = from; at < end; at++) {
      const first = at
      while (at < end && !hashes.at(at).equals(NO_DATA)) hashes.set(at++, NO_DATA)
      if (at === first) continue
      const last = Math.min(BLOCK * at, hashes.size)
      await this.#options.put(frame(KIND.zeros, BLOCK * first, last - BLOCK * first))
    }
  }
}

/** The numbers of the blocks that have data. */
export function blocksIn(extents: readonly Extent[], size: number): number[] {
  const found: number[] = []
  for (const [at, length] of extents)
    for (let block = Math.floor(at / BLOCK); block * BLOCK < Math.min(at + length, size); block++)
      if (block > (found.at(-1) ?? -1)) found.push(block)
  return found
}

/** Reads a block of an image of this size. */
export async function readBlock(file: FileHandle, block: number, size: number): Promise<Buffer> {
  const at = BLOCK * block
  const bytes = Buffer.allocUnsafe(Math.min(BLOCK, size - at))
  for (let have = 0; have < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, have, bytes.length - have, at + have)
    if (bytesRead === 0) throw new Error('the image became shorter while it was read')
    have += bytesRead
  }
  return bytes
}
