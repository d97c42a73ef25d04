import { ShadowError } from '../../lib/errors.ts'
import { type Sha256, sha256 } from '../../model/digest.ts'
import type { VolumeId } from '../../model/names.ts'
import type { Range } from '../blobs/blobs.ts'

/** The folders of a restic repository. The files in them are named by the SHA-256 of their content. */
export const FILE_TYPES = ['keys', 'locks', 'snapshots', 'index', 'data'] as const
export type FileType = (typeof FILE_TYPES)[number]

/** One file of the restic repository of a volume. Only `config` has no name of its own, and its content is not named by a digest. */
export type RepositoryFile =
  | { readonly volume: VolumeId; readonly type: 'config' }
  | { readonly volume: VolumeId; readonly type: FileType; readonly name: Sha256 }

/**
 * The files of restic repositories, one repository for each volume, in the layout of restic's own S3 and local backends: restic alone can
 * read them. Every call fails with `storage-unreachable` when the store is away.
 */
export interface RepositoryFiles {
  /**
   * Stores a file of exactly `bytes` bytes while it streams. When the call resolves, the whole file is stored; when it fails, nothing is.
   * The content of a file with a name must have that digest. Such a file that is there is left as it is, and the content may stay unread.
   * Fails with `already-exists` for a `config` that is there: of several callers at once, exactly one succeeds. Fails with `bad-input` for
   * content of another digest or length, with `disk-full`, and with `client-gone` when the content ends early.
   */
  put(file: RepositoryFile, bytes: number, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>
  /** The content of the file, or a range of it, which must lie within the file; undefined if it is not there. */
  get(
    file: RepositoryFile,
    range: Range | undefined,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array> | undefined>
  /** The size of the file in bytes; undefined if it is not there. */
  size(file: RepositoryFile): Promise<number | undefined>
  /** The files in one folder of the repository, in ascending order of their names. */
  list(volume: VolumeId, type: FileType): AsyncIterable<{ readonly name: Sha256; readonly bytes: number }>
  /** Removes the file; removing a missing file is success. */
  remove(file: RepositoryFile): Promise<void>
  /** Removes the whole repository of the volume, `config` first: a repository that is left half-way cannot be opened. */
  removeAll(volume: VolumeId): Promise<void>
  /** Closes idle connections. No call may follow. */
  close(): Promise<void>
}

/** The folder with the repositories, in the store. */
export const REPOSITORIES = 'backups'

/** Where the file is below the folder of its repository, by restic's default layout. */
export function pathOf(file: RepositoryFile): string {
  if (file.type === 'config') return 'config'
  const name = sha256(file.name)
  return file.type === 'data' ? `data/${name.slice(0, 2)}/${name}` : `${file.type}/${name}`
}

/** The content, which fails with `bad-input` where it has another length than was said. */
export async function* ofLength(content: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let have = 0
  for await (const chunk of content) {
    have += chunk.length
    if (have > bytes) throw otherLength(bytes)
    yield chunk
  }
  if (have < bytes) throw otherLength(bytes)
}

const otherLength = (bytes: number): ShadowError =>
  new ShadowError('bad-input', `the file does not have the ${bytes} bytes that Content-Length says`)
