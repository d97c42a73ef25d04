import type { Sha256 } from '../../model/digest.ts'

/** Bytes from `first` to `last`, both included, counted from 0. */
export type Range = { readonly first: number; readonly last: number }

/** Large immutable content by its SHA-256. Every call fails with `storage-unreachable` when the store is away. */
export interface Blobs {
  /**
   * Stores the content, which is verified while it streams. A blob is there whole once the call resolves, or not at all: content
   * of another digest (`bad-input`), content that ends early and a full disk (`disk-full`) leave nothing. A blob that is there
   * already is left as it is, and the content may go unread.
   */
  put(digest: Sha256, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>
  /** The blob's content, or a range of it, which must lie within the blob; undefined where it is not there. */
  get(digest: Sha256, range: Range | undefined, signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | undefined>
  /** How many bytes the blob has; undefined where it is not there. */
  size(digest: Sha256): Promise<number | undefined>
  /** Digests that begin with `prefix`, in ascending order, after `after`, at most `limit`. */
  list(prefix: string, options: { after?: Sha256 | undefined; limit: number }): Promise<readonly Sha256[]>
  /** Removes the blob; gone already is success. */
  remove(digest: Sha256): Promise<void>
  /** Closes connections that are kept open; no call may come after it. */
  close(): Promise<void>
}
