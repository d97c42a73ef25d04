import type { S3Client } from '@aws-sdk/client-s3'
import { ShadowError } from '../../lib/errors.ts'

/** A bucket of an S3-compatible store. Without credentials, the SDK uses the default AWS sources. */
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
  /** The name shown to people: `s3 http://…/bucket`, without credentials. */
  readonly name: string
  /** Runs the call. Errors of the store become `disk-full` or `storage-unreachable`. */
  withStoreFailures<T>(call: () => Promise<T>): Promise<T>
}

const CONNECT_WITHIN_MS = 2_000

/** Opens a client. A call without an answer within `answerWithinMs` fails. */
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
    // Stores other than AWS do not support its newer checksums.
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
    async withStoreFailures(call) {
      try {
        return await call()
      } catch (cause) {
        throw cause instanceof ShadowError ? cause : toFailure(name, cause)
      }
    },
  }
}

/** Creates the bucket if it does not exist. */
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
        // AWS refuses the location us-east-1 if it is given explicitly.
        ...(region !== 'us-east-1' && {
          CreateBucketConfiguration: {
            LocationConstraint: region as import('@aws-sdk/client-s3').BucketLocationConstraint,
          },
        }),
      }),
    )
  } catch (error) {
    // Another master created it meanwhile.
    if (!['BucketAlreadyOwnedByYou', 'OperationAborted'].includes(nameOf(error))) throw error
  }
}

/** The HTTP status of an SDK error; undefined if there was no answer. */
export const statusOf = (error: unknown): number | undefined =>
  (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '')

/** Whether the error means that the object does not exist. A missing bucket is a different error. */
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
