import { setTimeout as wait } from 'node:timers/promises'
import type { S3Client } from '@aws-sdk/client-s3'
import { ShadowError } from '../../lib/errors.ts'
import { checkedKey, seal, unseal } from './document.ts'
import type { Storage } from './storage.ts'

/** A bucket of an S3-compatible store. Without credentials the SDK looks for them where AWS keeps them. */
export type Bucket = {
  readonly endpoint: string
  readonly bucket: string
  readonly region: string
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
}

const CONNECT_WITHIN_MS = 2_000
const ANSWER_WITHIN_MS = 3_000
const TRIES_AT_CONFLICT = 20

/** Documents as objects of a bucket, which is made if it is not there. */
export async function s3({ endpoint, bucket, region, credentials }: Bucket): Promise<Storage> {
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
      requestTimeout: ANSWER_WITHIN_MS,
      throwOnRequestTimeout: true,
    },
  })
  const name = `s3 ${endpoint}/${bucket}`

  const asking = async <T>(deed: () => Promise<T>): Promise<T> => {
    try {
      return await deed()
    } catch (cause) {
      throw cause instanceof ShadowError ? cause : toFailure(name, cause)
    }
  }

  const read = async (key: string, signal?: AbortSignal) => {
    try {
      const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: checkedKey(key) })
      const object = await client.send(command, signal === undefined ? {} : { abortSignal: signal })
      const text = (await object.Body?.transformToString()) ?? ''
      return { ...unseal(key, text), etag: bare(object.ETag) }
    } catch (error) {
      if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') return undefined
      throw error
    }
  }

  const write = async (
    key: string,
    value: object,
    lost: () => ShadowError,
    condition: { IfNoneMatch?: string; IfMatch?: string },
  ) => {
    const { text, writeId } = seal(value)
    const command = { Bucket: bucket, Key: checkedKey(key), Body: text, ContentType: 'application/json', ...condition }
    for (let tries = 1; ; tries++) {
      try {
        return bare((await client.send(new sdk.PutObjectCommand(command))).ETag)
      } catch (error) {
        const status = statusOf(error)
        const conflict = status === 409 && tries < TRIES_AT_CONFLICT
        if (!conflict && status !== 412 && (status !== 404 || nameOf(error) === 'NoSuchBucket')) throw error
        // The SDK tries again by itself when an answer is lost: what refuses us now may be our own write.
        const now = await read(key)
        if (now?.writeId === writeId) return now.etag
        if (!conflict) throw lost()
      }
      await wait(Math.random() * 10 * tries)
    }
  }

  const listed = async (
    prefix: string,
    { after, limit = Number.POSITIVE_INFINITY }: { after?: string | undefined; limit?: number | undefined } = {},
  ) => {
    const found: { key: string; etag: string }[] = []
    let more: string | undefined
    do {
      const page = await client.send(
        new sdk.ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          MaxKeys: Math.min(1_000, limit - found.length),
          ...(more === undefined ? { StartAfter: after } : { ContinuationToken: more }),
        }),
      )
      found.push(
        ...(page.Contents ?? []).flatMap(({ Key, ETag }) => (Key === undefined ? [] : { key: Key, etag: bare(ETag) })),
      )
      more = page.IsTruncated ? page.NextContinuationToken : undefined
    } while (more !== undefined && found.length < limit)
    return found
  }

  await asking(() => ensureBucket(client, sdk, bucket, region))

  return {
    name,
    close: async () => client.destroy(),
    get: (key, signal) =>
      asking(async () => {
        const found = await read(key, signal)
        return found && { value: found.value, etag: found.etag }
      }),
    create: (key, value) =>
      asking(() => write(key, value, () => new ShadowError('already-exists', `${key} exists`), { IfNoneMatch: '*' })),
    update: (key, value, etag) =>
      asking(() =>
        write(key, value, () => new ShadowError('changed', `${key} was changed by somebody else`), {
          IfMatch: `"${etag}"`,
        }),
      ),
    remove: key =>
      asking(async () => {
        await client.send(new sdk.DeleteObjectCommand({ Bucket: bucket, Key: checkedKey(key) }))
      }),
    list: (prefix, options) => asking(async () => (await listed(prefix, options)).map(({ key }) => key)),
    versions: (prefix, options) =>
      asking(async () => new Map((await listed(prefix, options)).map(({ key, etag }) => [key, etag]))),
  }
}

async function ensureBucket(
  client: S3Client,
  sdk: typeof import('@aws-sdk/client-s3'),
  bucket: string,
  region: string,
) {
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

const bare = (etag: string | undefined): string => (etag ?? '').replaceAll('"', '')

const statusOf = (error: unknown): number | undefined =>
  (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '')

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
