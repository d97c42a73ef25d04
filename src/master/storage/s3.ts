import { setTimeout as wait } from 'node:timers/promises'
import { ShadowError } from '../../lib/errors.ts'
import { checkedKey, seal, unseal } from './document.ts'
import { type Bucket, bucketClient, ensureBucket, isNotThere, statusOf } from './s3-client.ts'
import type { Storage } from './storage.ts'

const ANSWER_WITHIN_MS = 3_000
const TRIES_AT_CONFLICT = 20

/** Documents as objects in a bucket. The bucket is created if it does not exist. */
export async function s3(place: Bucket): Promise<Storage> {
  const opened = await bucketClient(place, ANSWER_WITHIN_MS)
  const { sdk, client, name, withStoreFailures } = opened
  const { bucket } = place

  const read = async (key: string, signal?: AbortSignal) => {
    try {
      const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: checkedKey(key) })
      const object = await client.send(command, signal === undefined ? {} : { abortSignal: signal })
      const text = (await object.Body?.transformToString()) ?? ''
      return { ...unseal(key, text), etag: bare(object.ETag) }
    } catch (error) {
      if (isNotThere(error)) return undefined
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
        if (!conflict && status !== 412 && !isNotThere(error)) throw error
        // The SDK repeats a request whose answer was lost: our own earlier write may be the one that refuses this one.
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

  await withStoreFailures(() => ensureBucket(opened, place))

  return {
    name,
    close: async () => client.destroy(),
    get: (key, signal) =>
      withStoreFailures(async () => {
        const found = await read(key, signal)
        return found && { value: found.value, etag: found.etag }
      }),
    create: (key, value) =>
      withStoreFailures(() =>
        write(key, value, () => new ShadowError('already-exists', `${key} exists`), { IfNoneMatch: '*' }),
      ),
    update: (key, value, etag) =>
      withStoreFailures(() =>
        write(key, value, () => new ShadowError('changed', `${key} was changed by somebody else`), {
          IfMatch: `"${etag}"`,
        }),
      ),
    remove: key =>
      withStoreFailures(async () => {
        await client.send(new sdk.DeleteObjectCommand({ Bucket: bucket, Key: checkedKey(key) }))
      }),
    list: (prefix, options) => withStoreFailures(async () => (await listed(prefix, options)).map(({ key }) => key)),
    versions: (prefix, options) =>
      withStoreFailures(async () => new Map((await listed(prefix, options)).map(({ key, etag }) => [key, etag]))),
  }
}

const bare = (etag: string | undefined): string => (etag ?? '').replaceAll('"', '')
