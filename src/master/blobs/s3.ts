import type { CompletedPart } from '@aws-sdk/client-s3'
import { type Sha256, sha256 } from '../../model/digest.ts'
import { type Bucket, type BucketClient, bucketClient, isNotThere } from '../storage/s3-client.ts'
import type { Blobs } from './blobs.ts'
import { inParts } from './parts.ts'
import { verified } from './verified.ts'

/** The size of one part of an upload. S3 requires at least 5 MiB for each part but the last, and takes at most 10,000 parts. */
const PART_BYTES = 8 * 2 ** 20
/** At 1 Mbit/s, a part of PART_BYTES takes less than this. */
const ANSWER_WITHIN_MS = 90_000
const PREFIX = 'blobs/'

/** Blobs as objects `blobs/<sha256>` of a bucket. */
export async function s3(bucket: Bucket): Promise<Blobs> {
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

  return {
    put: (digest, content, signal) =>
      withStoreFailures(async () => {
        if ((await sizeOf(digest)) !== undefined) return
        const parts = inParts(verified(digest, content, signal), PART_BYTES)
        const first = await parts.next()
        const second = await parts.next()
        if (second.done) {
          const Body = first.value ?? Buffer.alloc(0)
          await client.send(new sdk.PutObjectCommand({ ...placeOf(digest), Body }), { abortSignal: signal })
        } else await upload(opened, placeOf(digest), [first.value ?? Buffer.alloc(0), second.value], parts, signal)
      }),

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

    close: async () => client.destroy(),
  }
}

/**
 * Uploads in parts. The object appears only once the upload is completed, after its digest was verified.
 * If a master dies during an upload, its parts stay in the bucket, invisible. A lifecycle rule for incomplete uploads removes them; MinIO
 * removes them after a day.
 */
async function upload(
  { client, sdk }: BucketClient,
  place: { Bucket: string; Key: string },
  begun: readonly Buffer[],
  rest: AsyncIterable<Buffer>,
  signal: AbortSignal,
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
    await client.send(new sdk.CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts } }))
  } catch (error) {
    // The caller has to see the failure above, not one of the clean-up. Parts that stay are invisible.
    await client.send(new sdk.AbortMultipartUploadCommand({ ...place, UploadId })).catch(() => undefined)
    throw error
  }
}
