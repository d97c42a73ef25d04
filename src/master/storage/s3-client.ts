import type { S3Client } from '@aws-sdk/client-s3'
import { ShadowError } from '../../lib/errors.ts'

/** A bucket of an S3-compatible store. Without credentials the SDK looks for them where AWS keeps them. */
export type Bucket = {
  readonly endpoint: string
  readonly bucket: string
  readonly region: string
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
}

type Sdk = typeof import('@aws-sdk/client-s3')

/** A client of one bucket. */
export type BucketClient = {
  readonly sdk: Sdk
  readonly client: S3Client
  /** For people: `s3 http://…/bucket`, without credentials. */
  readonly name: string
  /** Runs the call; failures of the store become `disk-full` or `storage-unreachable`. */
  asking<T>(call: () => Promise<T>): Promise<T>
}

const CONNECT_WITHIN_MS = 2_000

/** Opens a client whose calls are answered within `answerWithinMs`, or fail. */
export async function bucketClient(
  { endpoint, bucket, region, credentials }: Bucket,
  answerWithinMs: number,
): Promise<BucketClient> {
  const sdk = await import('@aws-sdk/client-s3')
  const client = new sdk.S3Client({
    endpoint,
    region,
    ...(credentials !== undefined && { credentials }),
    forcePathStyle: true,
    // Others than AWS do not know its newer checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_WITHIN_MS,
      requestTimeout: answerWithinMs,
      throwOnRequestTimeout: true,
    },
  })
  const name = `s3 ${endpoint}/${bucket}`
  return {
    sdk,
    client,
    name,
    async asking(call) {
      try {
        return await call()
      } catch (cause) {
        throw cause instanceof ShadowError ? cause : toFailure(name, cause)
      }
    },
  }
}

/** Makes the bucket where there is none. */
export async function ensureBucket({ client, sdk }: BucketClient, { bucket, region }: Bucket): Promise<void> {
  try {
    await client.send(new sdk.HeadBucketCommand({ Bucket: bucket }))
    return
  } catch (error) {
    if (statusOf(error) !== 404) throw error
  }
  try {
    await client.send(
      new sdk.CreateBucketCommand({
        Bucket: bucket,
        // us-east-1 is the one region that AWS refuses to be told.
        ...(region !== 'us-east-1' && {
          CreateBucketConfiguration: {
            LocationConstraint: region as import('@aws-sdk/client-s3').BucketLocationConstraint,
          },
        }),
      }),
    )
  } catch (error) {
    // Another master made it meanwhile.
    if (!['BucketAlreadyOwnedByYou', 'OperationAborted'].includes(nameOf(error))) throw error
  }
}

/** The HTTP status of an SDK error; undefined where there was no answer. */
export const statusOf = (error: unknown): number | undefined =>
  (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '')

/** Whether the error says that the object is not there; a missing bucket is another matter. */
export const isNotThere = (error: unknown): boolean => statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket'

function toFailure(store: string, cause: unknown): ShadowError {
  if (statusOf(cause) === 507 || /StorageFull|InsufficientStorage/.test(nameOf(cause)))
    return new ShadowError('disk-full', `${store} has no space left`, { cause })
  const refused = [401, 403].includes(statusOf(cause) ?? 0)
  const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  return new ShadowError('storage-unreachable', `${store} ${refused ? 'refuses us' : 'does not answer'}: ${why}`, {
    cause,
    retryAfterMs: 1_000,
    ...(refused && { hint: 'check the key and the secret in SHADOW_STORAGE' }),
  })
}
