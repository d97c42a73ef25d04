import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Sha256, sha256 } from '../../model/digest.ts'
import type { OciDigest, Repository } from '../../model/image-store.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { removableDocuments } from '../removable-documents.ts'
import type { Storage } from '../storage/storage.ts'
import { fault } from './faults.ts'
import { blobKey } from './keys.ts'

const BlobSchema = z.object({
  /** The SHA-256 by which its content is stored. */
  content: z.string().transform(sha256),
  bytes: z.int(),
  /** The repositories that have it. Others do not see it. */
  repositories: z.array(z.string()),
  /** When somebody last pushed it, or asked for it to push an image with it. It is not collected for a while from then on. */
  wantedAt: z.iso.datetime(),
})
export type ImageBlob = z.output<typeof BlobSchema>

/** How exactly `wantedAt` is kept. */
const WANTED_EVERY_MS = 600_000

export const isWantedNow = (clock: Clock, { wantedAt }: { readonly wantedAt: string }): boolean =>
  clock.wall() - Date.parse(wantedAt) < WANTED_EVERY_MS

export type ImageBlobs = ReturnType<typeof imageBlobs>

/**
 * Layers and configurations of images. Their content is stored once, whatever repositories have it; a document
 * `images/_blobs/<digest>.json` for each says which.
 */
export function imageBlobs({ storage, blobs, clock }: { storage: Storage; blobs: Blobs; clock: Clock }) {
  const documents = removableDocuments(BlobSchema, { storage, clock })

  /** The blob, if the repository has it and its content is stored. */
  const visible = async (repository: Repository, found: ImageBlob | undefined): Promise<ImageBlob | undefined> =>
    found?.repositories.includes(repository) && (await blobs.size(found.content)) !== undefined ? found : undefined

  const touch = (digest: OciDigest): Promise<ImageBlob | undefined> =>
    documents.change(blobKey(digest), now =>
      now === undefined || isWantedNow(clock, now) ? now : { ...now, wantedAt: timestamp(clock) },
    )

  const add = async (repository: Repository, digest: OciDigest, content: Sha256, bytes: number): Promise<void> => {
    await documents.change(blobKey(digest), now =>
      now?.repositories.includes(repository) && isWantedNow(clock, now)
        ? now
        : {
            content,
            bytes,
            repositories: [...new Set([...(now?.repositories ?? []), repository])].sort(),
            wantedAt: timestamp(clock),
          },
    )
  }

  const store = {
    documents,

    /** The blob, for a reader. */
    of: async (repository: Repository, digest: OciDigest): Promise<ImageBlob | undefined> =>
      visible(repository, (await documents.read(blobKey(digest)))?.value),

    /** The blob, for somebody who pushes an image with it: it is not collected for a while. */
    async want(repository: Repository, digest: OciDigest): Promise<ImageBlob | undefined> {
      const blob = await visible(repository, await touch(digest))
      if (blob !== undefined && contentDigest(blob.content) !== digest) await touch(contentDigest(blob.content))
      return blob
    },

    read: (blob: ImageBlob, range: { first: number; last: number } | undefined, signal: AbortSignal) =>
      blobs.get(blob.content, range, signal),

    /** Stores content for the repository, under its SHA-256. */
    receive: (
      repository: Repository,
      content: AsyncIterable<Uint8Array>,
      signal: AbortSignal,
      expected?: Sha256,
    ): Promise<{ digest: Sha256; bytes: number }> =>
      // The document comes first: content without a document would never be collected.
      blobs.receive(
        content,
        { expected, named: ({ digest, bytes }) => add(repository, contentDigest(digest), digest, bytes) },
        signal,
      ),

    /** Gives content that the repository has another digest too, if it has that digest. Fails with DIGEST_INVALID. */
    async alias(repository: Repository, content: Sha256, digest: OciDigest, signal: AbortSignal): Promise<void> {
      const has = await store.want(repository, contentDigest(content))
      const stream = has && (await blobs.get(content, undefined, signal))
      if (stream === undefined) throw fault('BLOB_UPLOAD_INVALID', 'what was uploaded is not there any more')
      const hash = createHash(digest.slice(0, digest.indexOf(':')))
      for await (const chunk of stream) hash.update(chunk)
      const found = `${digest.slice(0, digest.indexOf(':'))}:${hash.digest('hex')}`
      if (found !== digest) throw fault('DIGEST_INVALID', `the content has the digest ${found}, not ${digest}`)
      await add(repository, digest, content, has?.bytes ?? 0)
    },

    /** Lets the repository have a blob that another one has; returns false if that one does not have it. */
    async mount(repository: Repository, digest: OciDigest, from: Repository): Promise<boolean> {
      const blob = await store.want(from, digest)
      if (blob === undefined) return false
      await add(repository, digest, blob.content, blob.bytes)
      return true
    },

    /** A repository that has the blob. */
    async anyOf(digest: OciDigest): Promise<Repository | undefined> {
      return (await documents.read(blobKey(digest)))?.value.repositories[0] as Repository | undefined
    },

    /** Takes the blob from the repository; its content is collected later. Returns false if the repository does not have it. */
    async drop(repository: Repository, digest: OciDigest): Promise<boolean> {
      let had = false
      await documents.change(blobKey(digest), now => {
        had = now?.repositories.includes(repository) === true
        return had && now ? { ...now, repositories: now.repositories.filter(name => name !== repository) } : now
      })
      return had
    },

    /** Removes the content of a blob whose document is being removed. A blob by another digest has none of its own. */
    async erase(digest: OciDigest): Promise<void> {
      const hex = digest.slice(digest.indexOf(':') + 1)
      if (digest.startsWith('sha256:')) await blobs.remove(sha256(hex))
    },

    sweep: (olderThanMs: number) => blobs.sweep(olderThanMs),
  }
  return store
}

export const contentDigest = (content: Sha256): OciDigest => `sha256:${content}` as OciDigest

/** The content, up to so many bytes. */
export async function* atMost(limitBytes: number, content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of content) {
    bytes += chunk.length
    if (bytes > limitBytes)
      throw new ShadowError('too-large', 'the blob is larger than SHADOW_BLOB_LIMIT of the masters allows')
    yield chunk
  }
}
