import type { Sha256 } from '../../model/digest.ts'

/** Bytes from `first` to `last`, both included, counted from 0. */
export type Range = { readonly first: number; readonly last: number }

export type Received = { readonly digest: Sha256; readonly bytes: number }
export type Receiving = {
  readonly expected?: Sha256 | undefined
  readonly named?: ((received: Received) => Promise<void>) | undefined
}

/** Storage for large immutable content, named by its SHA-256. Every call fails with `storage-unreachable` when the store is away. */
export interface Blobs {
  /**
   * Stores the content and verifies its digest while it streams. When the call resolves, the whole blob is stored. When the call fails,
   * nothing is stored.
   * It fails with `bad-input` for content of another digest, with `disk-full`, and when the content ends early.
   * A blob that is stored already is left as it is, and the content may stay unread.
   */
  put(digest: Sha256, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>
  /**
   * Stores content whose digest is not known before its end. `named` is called with the digest when all content has arrived and before the
   * blob exists; if it fails, nothing is stored. Everything else is as for `put`. With `expected`, the content must have that digest.
   */
  receive(content: AsyncIterable<Uint8Array>, options: Receiving, signal: AbortSignal): Promise<Received>
  /** The content of the blob, or a range of it, which must lie within the blob; undefined if the blob is not stored. */
  get(digest: Sha256, range: Range | undefined, signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | undefined>
  /** The size of the blob in bytes; undefined if the blob is not stored. */
  size(digest: Sha256): Promise<number | undefined>
  /** At most `limit` digests that begin with `prefix` and come after `after`, in ascending order. */
  list(prefix: string, options: { after?: Sha256 | undefined; limit: number }): Promise<readonly Sha256[]>
  /** Removes the blob; removing a missing blob is success. */
  remove(digest: Sha256): Promise<void>
  /** Removes what calls of `receive` and `put` left that were cut short by the death of a master, if it is older than this. */
  sweep(olderThanMs: number): Promise<void>
  /** Closes idle connections. No call may follow. */
  close(): Promise<void>
}
