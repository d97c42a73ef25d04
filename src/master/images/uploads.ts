import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import { sha256 } from '../../model/digest.ts'
import type { OciDigest, Repository } from '../../model/image-store.ts'
import { sayBytes } from '../../model/quantities.ts'
import type { Storage, Stored } from '../storage/storage.ts'
import { atMost, contentDigest, type ImageBlobs } from './blobs.ts'
import { asFault, fault } from './faults.ts'
import { uploadKey } from './keys.ts'

const UploadSchema = z.object({
  startedAt: z.iso.datetime(),
  /** When its last chunk came. */
  at: z.iso.datetime(),
  /** Each chunk is stored as a blob of its own. */
  chunks: z.array(z.object({ content: z.string().transform(sha256), bytes: z.int() })),
})
export type Upload = z.output<typeof UploadSchema>

/** An upload lapses so long after its last chunk. */
export const UPLOAD_LAPSES_MS = 86_400_000
/** The document with the list of its chunks is written anew for each of them. */
const MOST_CHUNKS = 1_000

export const parseUpload = (stored: Stored): Upload => UploadSchema.parse(stored.value)
const hasLapsed = (upload: Upload, clock: Clock): boolean => clock.wall() - Date.parse(upload.at) > UPLOAD_LAPSES_MS

type Options = {
  readonly storage: Storage
  readonly blobs: ImageBlobs
  readonly clock: Clock
  readonly limitBytes: number
}
/** The part of a blob that a request sends; `from`: the position of its first byte, if the request says that. */
type Chunk = { readonly content: AsyncIterable<Uint8Array>; readonly from?: number | undefined }
export type ImageUploads = ReturnType<typeof imageUploads>

/**
 * Uploads of blobs in several requests. All that is known of an upload is in the store, so each request may come to another master. The
 * content of each request is a blob at once; an upload in one request, as docker makes it, needs no copy at its end.
 */
export function imageUploads({ storage, blobs, clock, limitBytes }: Options) {
  const read = async (repository: Repository, id: string): Promise<{ upload: Upload; etag: string }> => {
    const stored = /^[0-9a-f]{32}$/.test(id) ? await storage.get(uploadKey(repository, id)) : undefined
    const upload = stored && parseUpload(stored)
    if (stored === undefined || upload === undefined || hasLapsed(upload, clock))
      throw fault('BLOB_UPLOAD_UNKNOWN', `${repository} has no such upload; one lapses a day after its last chunk`)
    return { upload, etag: stored.etag }
  }

  const uploads = {
    async start(repository: Repository): Promise<string> {
      const id = randomBytes(16).toString('hex')
      const at = timestamp(clock)
      await storage.create(uploadKey(repository, id), { startedAt: at, at, chunks: [] })
      return id
    },

    /** How many bytes have come. Fails with BLOB_UPLOAD_UNKNOWN. */
    async offset(repository: Repository, id: string): Promise<number> {
      return bytesOf((await read(repository, id)).upload)
    },

    /** Adds a chunk and returns how many bytes have come. A chunk that was cut short, or that another one came before, leaves no trace. */
    async append(repository: Repository, id: string, { content, from }: Chunk, signal: AbortSignal): Promise<number> {
      const { upload, etag } = await read(repository, id)
      const offset = bytesOf(upload)
      if (from !== undefined && from !== offset)
        throw fault('RANGE_INVALID', `the next chunk begins at byte ${offset}, not ${from}`)
      if (upload.chunks.length >= MOST_CHUNKS)
        throw fault('BLOB_UPLOAD_INVALID', `an upload has at most ${MOST_CHUNKS} chunks; send larger ones`)
      const { digest, bytes } = await asFault('too-large', 'SIZE_INVALID', () =>
        blobs.receive(repository, atMost(limitBytes - offset, content), signal),
      )
      if (bytes === 0) return offset
      const chunks = [...upload.chunks, { content: digest, bytes }]
      try {
        await storage.update(uploadKey(repository, id), { ...upload, at: timestamp(clock), chunks }, etag)
      } catch (error) {
        if (isFailure(error, 'changed')) throw fault('RANGE_INVALID', 'another chunk came meanwhile')
        throw error
      }
      return offset + bytes
    },

    /** Makes the upload a blob of the repository. Fails with DIGEST_INVALID if its content has another digest. */
    async finish(repository: Repository, id: string, digest: OciDigest, signal: AbortSignal): Promise<void> {
      const { upload } = await read(repository, id)
      await uploads.join(repository, upload, digest, signal)
      await storage.remove(uploadKey(repository, id))
    },

    async join(repository: Repository, { chunks }: Upload, digest: OciDigest, signal: AbortSignal): Promise<void> {
      const isSha256 = digest.startsWith('sha256:')
      const [only] = chunks
      let content = only?.content
      if (only === undefined || chunks.length > 1) {
        const whole = joined(chunks.map(({ content }) => content))
        const expected = isSha256 ? sha256(digest.slice('sha256:'.length)) : undefined
        const received = await asFault('bad-input', 'DIGEST_INVALID', () =>
          blobs.receive(repository, whole, signal, expected),
        )
        content = received.digest
      }
      if (content === undefined) return
      if (!isSha256) return blobs.alias(repository, content, digest, signal)
      if (contentDigest(content) !== digest)
        throw fault('DIGEST_INVALID', `the content has the digest ${contentDigest(content)}, not ${digest}`)
      if ((await blobs.want(repository, digest)) === undefined)
        throw fault('BLOB_UPLOAD_INVALID', 'what was uploaded is not there any more')

      async function* joined(parts: readonly ReturnType<typeof sha256>[]): AsyncGenerator<Uint8Array> {
        for (const part of parts) {
          const blob = await blobs.of(repository, contentDigest(part))
          const stream = blob && (await blobs.read(blob, undefined, signal))
          if (stream === undefined) throw fault('BLOB_UPLOAD_INVALID', 'a chunk of the upload is not there any more')
          yield* stream
        }
      }
    },

    /** Stores a blob that comes in one request. */
    async whole(
      repository: Repository,
      digest: OciDigest,
      content: AsyncIterable<Uint8Array>,
      signal: AbortSignal,
    ): Promise<void> {
      const expected = digest.startsWith('sha256:') ? sha256(digest.slice('sha256:'.length)) : undefined
      const limited = atMost(limitBytes, content)
      const received = await asFault('too-large', 'SIZE_INVALID', () =>
        asFault('bad-input', 'DIGEST_INVALID', () => blobs.receive(repository, limited, signal, expected)),
      )
      if (expected === undefined) await blobs.alias(repository, received.digest, digest, signal)
    },

    /** Fails with SIZE_INVALID if a request of this length would make the upload too large. */
    mustFit(length: string | undefined): void {
      if (Number(length ?? 0) > limitBytes)
        throw fault(
          'SIZE_INVALID',
          `the blob is larger than ${sayBytes(limitBytes)}`,
          'raise SHADOW_BLOB_LIMIT of the masters',
        )
    },

    /** Gives the upload up. Fails with BLOB_UPLOAD_UNKNOWN. */
    async cancel(repository: Repository, id: string): Promise<void> {
      await read(repository, id)
      await storage.remove(uploadKey(repository, id))
    },
  }
  return uploads
}

const bytesOf = ({ chunks }: Upload): number => chunks.reduce((sum, { bytes }) => sum + bytes, 0)
