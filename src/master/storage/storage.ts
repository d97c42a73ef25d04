/** A stored document and its version. */
export type Stored = { readonly value: unknown; readonly etag: string }

/**
 * JSON documents by key (`apps/blog.json`). Writes are conditional, and that is all that keeps two masters from overwriting
 * each other. A write is there whole once its call resolves, or not at all.
 */
export interface Storage {
  /** The document, or undefined. Fails with `storage-unreachable`, as every call does when the store is away. */
  get(key: string, signal?: AbortSignal): Promise<Stored | undefined>
  /** Creates the document; fails with `already-exists`. Of any number of racers exactly one succeeds. Answers with its etag. */
  create(key: string, value: object): Promise<string>
  /** Replaces the version that has this etag; fails with `changed` where it is another, or gone. */
  update(key: string, value: object, etag: string): Promise<string>
  /** Removes the document whatever its version; "gone already" is success. (MinIO ignores If-Match on DELETE: never give up a lease by it.) */
  remove(key: string): Promise<void>
  /** Keys that begin with `prefix`, in ascending order, after `after`, at most `limit`. */
  list(prefix: string, options?: { after?: string | undefined; limit?: number | undefined }): Promise<readonly string[]>
  /** As `list`, with the etag of each document, and without reading them where the store can tell: a check of many at once. */
  versions(prefix: string, options: { after?: string | undefined; limit: number }): Promise<ReadonlyMap<string, string>>
  /** Closes files and connections once the writes under way are done; no call may come after it. */
  close(): Promise<void>
  /** For people, where this is: `directory /var/lib/shadow/store` or `s3 http://…/bucket`. */
  readonly name: string
}
