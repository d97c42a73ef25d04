import { createHash, type Hash } from 'node:crypto'

export const DIGEST_BYTES = 32

/** The SHA-256 of the entries of an archive, in their order. */
export class Digests {
  readonly #hashes = new Map<string, Hash>()

  add(entry: string, bytes: Uint8Array): void {
    const hash = this.#hashes.get(entry) ?? createHash('sha256')
    this.#hashes.set(entry, hash)
    hash.update(bytes)
  }

  /** Adds all bytes that pass. */
  async *through(entry: string, bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of bytes) {
      this.add(entry, piece)
      yield piece
    }
  }

  get hex(): Record<string, string> {
    return Object.fromEntries([...this.#hashes].map(([entry, hash]) => [entry, hash.copy().digest('hex')]))
  }
}
