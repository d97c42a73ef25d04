/** A stored document and its version. */
export type Stored = { readonly value: unknown; readonly etag: string }

/**
 * JSON documents by key (`apps/blog.json`). Writes are conditional: nothing else keeps two masters from overwriting each other.
 * When a write resolves, the whole document is stored. When it fails, nothing is.
 */
export interface Storage {
  /** The document; undefined if there is none. Like every call, it fails with `storage-unreachable` when the store is away. */
  get(key: string, signal?: AbortSignal): Promise<Stored | undefined>
  /** Creates the document and returns its etag; fails with `already-exists`. Of several callers at once, exactly one succeeds. */
  create(key: string, value: object): Promise<string>
  /** Replaces the version with this etag and returns the new etag; fails with `changed` if the document has another version or is gone. */
  update(key: string, value: object, etag: string): Promise<string>
  /**
   * Removes the document, whatever its version; removing a missing document is success. (MinIO ignores If-Match on DELETE: never release a
   * lease in this way.)
   */
  remove(key: string): Promise<void>
  /** At most `limit` keys that begin with `prefix` and come after `after`, in ascending order. */
  list(prefix: string, options?: { after?: string | undefined; limit?: number | undefined }): Promise<readonly string[]>
  /**
   * As `list`, with the etag of each document, to check many documents at once. It does not read the documents if the store lists etags.
   */
  versions(prefix: string, options: { after?: string | undefined; limit: number }): Promise<ReadonlyMap<string, string>>
  /** Closes files and connections when the running writes are done. No call may follow. */
  close(): Promise<void>
  /** The name shown to people: `directory /var/lib/shadow/store` or `s3 http://…/bucket`. */
  readonly name: string
}
