import { randomUUID } from 'node:crypto'
import type { CompletedPart } from '@aws-sdk/client-s3'
import { type Sha256, sha256 } from '../../model/digest.ts'
import { type Bucket, type BucketClient, bucketClient, isNotThere } from '../storage/s3-client.ts'
import type { Blobs, Received, Receiving } from './blobs.ts'
import { inParts } from './parts.ts'
import { copyObject, removeLeftovers } from './s3-parts.ts'
import { hashed } from './verified.ts'

/** The size of one part of an upload. S3 requires at least 5 MiB for each part but the last, and takes at most 10,000 parts. */
const PART_BYTES = 8 * 2 ** 20
/** At 1 Mbit/s, a part of PART_BYTES takes less than this. */
const ANSWER_WITHIN_MS = 90_000

/** Blobs as objects `<folder>/<sha256>` of a bucket. Content whose digest is not known yet is at `<folder>-parts/<uuid>`. */
export async function s3(bucket: Bucket & { folder?: string | undefined }): Promise<Blobs> {
  const { folder = 'blobs' } = bucket
  const PREFIX = `${folder}/`
  const partsPrefix = `${folder}-parts/`
  const opened = await bucketClient(bucket, ANSWER_WITHIN_MS)
  const { sdk, client, withStoreFailures } = opened
  const placeOf = (digest: Sha256) => ({ Bucket: bucket.bucket, Key: `${PREFIX}${sha256(digest)}` })

  const sizeOf = async (digest: Sha256): Promise<number | undefined> => {
    try {
      return (await client.send(new sdk.HeadObjectCommand(placeOf(digest)))).ContentLength
    } catch (error) {
      if (isNotThere(error)) return undefined
      throw error
    }
  }

  const receive = async (
    given: AsyncIterable<Uint8Array>,
    { expected, named }: Receiving,
    signal: AbortSignal,
  ): Promise<Received> => {
    const { content, received } = hashed(given, expected, signal)
    const parts = inParts(content, PART_BYTES)
    const first = await parts.next()
    const second = await parts.next()
    if (second.done) {
      const Body = first.value ?? Buffer.alloc(0)
      const { digest } = received()
      await named?.(received())
      await client.send(new sdk.PutObjectCommand({ ...placeOf(digest), Body }), { abortSignal: signal })
      return received()
    }
    const begun = [first.value ?? Buffer.alloc(0), second.value]
    if (expected !== undefined) {
      await upload(opened, placeOf(expected), begun, parts, signal, () => named?.(received()))
      return received()
    }
    const part = { Bucket: bucket.bucket, Key: `${partsPrefix}${randomUUID()}` }
    try {
      await upload(opened, part, begun, parts, signal)
      const { digest, bytes } = received()
      await named?.({ digest, bytes })
      if ((await sizeOf(digest)) === undefined) await copyObject(opened, part, placeOf(digest), bytes)
    } finally {
      // A part that stays is removed by `sweep`.
      await client.send(new sdk.DeleteObjectCommand(part)).catch(() => undefined)
    }
    return received()
  }

  return {
    put: (digest, content, signal) =>
      withStoreFailures(async () => {
        if ((await sizeOf(digest)) === undefined) await receive(content, { expected: digest }, signal)
      }),

    receive: (content, options, signal) => withStoreFailures(() => receive(content, options, signal)),

    get: (digest, range, signal) =>
      withStoreFailures(async () => {
        const Range = range && `bytes=${range.first}-${range.last}`
        try {
          const command = new sdk.GetObjectCommand({ ...placeOf(digest), Range })
          const { Body } = await client.send(command, { abortSignal: signal })
          return Body as AsyncIterable<Uint8Array> | undefined
        } catch (error) {
          if (isNotThere(error)) return undefined
          throw error
        }
      }),

    size: digest => withStoreFailures(() => sizeOf(digest)),

    list: (prefix, { after, limit }) =>
      withStoreFailures(async () => {
        const found: Sha256[] = []
        let more: string | undefined
        do {
          const page = await client.send(
            new sdk.ListObjectsV2Command({
              Bucket: bucket.bucket,
              Prefix: `${PREFIX}${prefix}`,
              MaxKeys: Math.min(1_000, limit - found.length),
              ...(more === undefined ? { StartAfter: after && `${PREFIX}${after}` } : { ContinuationToken: more }),
            }),
          )
          found.push(...(page.Contents ?? []).map(({ Key = '' }) => sha256(Key.slice(PREFIX.length))))
          more = page.IsTruncated ? page.NextContinuationToken : undefined
        } while (more !== undefined && found.length < limit)
        return found
      }),

    remove: digest =>
      withStoreFailures(async () => void (await client.send(new sdk.DeleteObjectCommand(placeOf(digest))))),

    sweep: olderThanMs =>
      withStoreFailures(() =>
        removeLeftovers(opened, {
          bucket: bucket.bucket,
          prefixes: [PREFIX, partsPrefix],
          parts: partsPrefix,
          olderThanMs,
        }),
      ),

    close: async () => client.destroy(),
  }
}

/**
 * Uploads in parts. The object appears only once the upload is completed, after its digest was verified.
 * If a master dies during an upload, its parts stay in the bucket, invisible, until `sweep` removes them.
 */
async function upload(
  { client, sdk }: BucketClient,
  place: { Bucket: string; Key: string },
  begun: readonly Buffer[],
  rest: AsyncIterable<Buffer>,
  signal: AbortSignal,
  beforeDone?: () => Promise<void> | undefined,
): Promise<void> {
  const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(place))
  const Parts: CompletedPart[] = []
  const send = async (Body: Buffer): Promise<void> => {
    const PartNumber = Parts.length + 1
    const command = new sdk.UploadPartCommand({ ...place, UploadId, PartNumber, Body })
    const { ETag } = await client.send(command, { abortSignal: signal })
    Parts.push({ PartNumber, ETag })
  }
  try {
    for (const part of begun) await send(part)
    for await (const part of rest) await send(part)
    await beforeDone?.()
    await client.send(new sdk.CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts } }))
  } catch (error) {
    // The caller has to see the failure above, not one of the clean-up. Parts that stay are invisible.
    await client.send(new sdk.AbortMultipartUploadCommand({ ...place, UploadId })).catch(() => undefined)
    throw error
  }
}
