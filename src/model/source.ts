import type { Sha256 } from './digest.ts'

/** The source that a revision runs, beside its image: a tar of a folder, in the blobs of the masters. Containers have it at SOURCE_PATH. */
export type TaskSource = { readonly digest: Sha256 }

/** Where a container has the source of its app, read-only; its command is run there. */
export const SOURCE_PATH = '/srv'
