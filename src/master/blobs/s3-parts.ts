import type { BucketClient } from '../storage/s3-client.ts'

type Place = { readonly Bucket: string; readonly Key: string }

/** S3 copies at most 5 GiB in one request. */
const MOST_AT_ONCE_BYTES = 5 * 2 ** 30
/** S3 takes at most 10,000 parts. */
const COPIED_PART_BYTES = 2 ** 30

/** Copies an object within the bucket. The store does it by itself: no content comes here. */
export async function copyObject({ client, sdk }: BucketClient, from: Place, to: Place, bytes: number): Promise<void> {
  const CopySource = `${from.Bucket}/${from.Key}`
  if (bytes <= MOST_AT_ONCE_BYTES) {
    await client.send(new sdk.CopyObjectCommand({ ...to, CopySource }))
    return
  }
  const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(to))
  try {
    const Parts: { PartNumber: number; ETag: string | undefined }[] = []
    for (let first = 0; first < bytes; first += COPIED_PART_BYTES) {
      const last = Math.min(first + COPIED_PART_BYTES, bytes) - 1
      const PartNumber = Parts.length + 1
      const command = { ...to, UploadId, PartNumber, CopySource, CopySourceRange: `bytes=${first}-${last}` }
      const { CopyPartResult } = await client.send(new sdk.UploadPartCopyCommand(command))
      Parts.push({ PartNumber, ETag: CopyPartResult?.ETag })
    }
    await client.send(new sdk.CompleteMultipartUploadCommand({ ...to, UploadId, MultipartUpload: { Parts } }))
  } catch (error) {
    await client.send(new sdk.AbortMultipartUploadCommand({ ...to, UploadId })).catch(() => undefined) // see `sweep`
    throw error
  }
}

type Leftovers = {
  readonly bucket: string
  /** Where uploads may have been begun. */
  readonly prefixes: readonly string[]
  /** Where objects are that no blob needs. */
  readonly parts: string
  readonly olderThanMs: number
}

/** Removes uploads that were not completed, and parts that did not become blobs, if they are old. */
export async function removeLeftovers(
  { client, sdk }: BucketClient,
  { bucket, prefixes, parts, olderThanMs }: Leftovers,
): Promise<void> {
  const isOld = (at: Date | undefined): boolean => at !== undefined && Date.now() - at.getTime() > olderThanMs
  for (const Prefix of prefixes) {
    const { Uploads = [] } = await client.send(new sdk.ListMultipartUploadsCommand({ Bucket: bucket, Prefix }))
    for (const { Key, UploadId, Initiated } of Uploads)
      if (isOld(Initiated)) await client.send(new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }))
  }
  const { Contents = [] } = await client.send(new sdk.ListObjectsV2Command({ Bucket: bucket, Prefix: parts }))
  for (const { Key, LastModified } of Contents)
    if (isOld(LastModified)) await client.send(new sdk.DeleteObjectCommand({ Bucket: bucket, Key }))
}
