import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { mapAtMost } from '../../lib/parallel.ts'
import { sha256 } from '../../model/digest.ts'
import type { VolumeId } from '../../model/names.ts'
import { hashed } from '../blobs/verified.ts'
import { type Bucket, bucketClient, isNotThere, statusOf } from '../storage/s3-client.ts'
import { configExists } from './directory.ts'
import { ofLength, pathOf, REPOSITORIES, type RepositoryFile, type RepositoryFiles } from './repository-files.ts'

/** At 1 Mbit/s, a pack of restic's usual 16 MiB takes less than this. */
const ANSWER_WITHIN_MS = 180_000
const PAGE = 1_000

/** Restic repositories as objects `backups/<volume>/…` of a bucket. */
export async function s3(bucket: Bucket): Promise<RepositoryFiles> {
  const { sdk, client, withStoreFailures } = await bucketClient(bucket, ANSWER_WITHIN_MS)
  const { bucket: Bucket } = bucket
  const prefixOf = (volume: VolumeId): string => `${REPOSITORIES}/${volume}/`
  const placeOf = (file: RepositoryFile) => ({ Bucket, Key: `${prefixOf(file.volume)}${pathOf(file)}` })

  const sizeOf = async (file: RepositoryFile): Promise<number | undefined> => {
    try {
      return (await client.send(new sdk.HeadObjectCommand(placeOf(file)))).ContentLength
    } catch (error) {
      if (isNotThere(error)) return undefined
      throw error
    }
  }

  async function* keysUnder(prefix: string): AsyncGenerator<{ Key: string; Size: number }[]> {
    let more: string | undefined
    do {
      const command = new sdk.ListObjectsV2Command({ Bucket, Prefix: prefix, MaxKeys: PAGE, ContinuationToken: more })
      const page = await withStoreFailures(() => client.send(command))
      yield (page.Contents ?? []).map(({ Key = '', Size = 0 }) => ({ Key, Size }))
      more = page.IsTruncated ? page.NextContinuationToken : undefined
    } while (more !== undefined)
  }

  return {
    put: (file, bytes, content, signal) =>
      withStoreFailures(async () => {
        if (file.type === 'config') return putConfig(file, bytes, content, signal)
        if ((await sizeOf(file)) !== undefined) return
        // One request for a whole pack, in flat memory. The digest is part of its signature, so the store checks it too.
        const body = new PassThrough()
        const command = new sdk.PutObjectCommand({ ...placeOf(file), Body: body, ContentLength: bytes })
        command.middlewareStack.add(
          next => args => {
            const { headers } = args.request as { headers: Record<string, string> }
            headers['x-amz-content-sha256'] = file.name
            return next(args)
          },
          { step: 'build' },
        )
        // What is wrong with the content is noticed before its last byte is sent, so the store gets no whole object.
        const checked = lastHeldBack(ofLength(hashed(content, file.name, signal).content, bytes))
        await sending(checked, body, abortSignal =>
          client.send(command, { abortSignal: AbortSignal.any([signal, abortSignal]) }),
        )
      }),

    get: (file, range, signal) =>
      withStoreFailures(async () => {
        const Range = range && `bytes=${range.first}-${range.last}`
        try {
          const { Body } = await client.send(new sdk.GetObjectCommand({ ...placeOf(file), Range }), {
            abortSignal: signal,
          })
          return Body as AsyncIterable<Uint8Array> | undefined
        } catch (error) {
          if (isNotThere(error)) return undefined
          throw error
        }
      }),

    size: file => withStoreFailures(() => sizeOf(file)),

    async *list(volume, type) {
      for await (const page of keysUnder(`${prefixOf(volume)}${type}/`))
        for (const { Key, Size } of page) {
          const name = Key.slice(Key.lastIndexOf('/') + 1)
          if (/^[0-9a-f]{64}$/.test(name)) yield { name: sha256(name), bytes: Size }
        }
    },

    remove: file => withStoreFailures(async () => void (await client.send(new sdk.DeleteObjectCommand(placeOf(file))))),

    async removeAll(volume) {
      await withStoreFailures(() => client.send(new sdk.DeleteObjectCommand(placeOf({ volume, type: 'config' }))))
      for await (const page of keysUnder(prefixOf(volume)))
        await withStoreFailures(() =>
          // Not DeleteObjects: stores other than AWS want a Content-MD5 for it, which the SDK does not send any more.
          mapAtMost(16, page, ({ Key }) => client.send(new sdk.DeleteObjectCommand({ Bucket, Key }))),
        )
    },

    close: async () => client.destroy(),
  }

  /** A `config` has some hundred bytes and no name that tells its content: whoever writes it first wins. */
  async function putConfig(
    file: RepositoryFile,
    bytes: number,
    content: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const chunks: Uint8Array[] = []
    for await (const chunk of ofLength(content, bytes)) chunks.push(chunk)
    const command = new sdk.PutObjectCommand({ ...placeOf(file), Body: Buffer.concat(chunks), IfNoneMatch: '*' })
    await client.send(command, { abortSignal: signal }).catch(error => {
      throw [409, 412].includes(statusOf(error) ?? 0) ? configExists(file.volume) : error
    })
  }
}

/**
 * Writes the content to the body while the request is sent. Content that fails ends the request, and its failure is thrown: an error of the
 * body itself would be one that nobody handles inside the SDK.
 */
async function sending(
  content: AsyncIterable<Uint8Array>,
  body: PassThrough,
  send: (failed: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const over = new AbortController()
  const failed = new AbortController()
  const pump = async (): Promise<void> => {
    for await (const chunk of content) if (!body.write(chunk)) await once(body, 'drain', { signal: over.signal })
    body.end()
  }
  pump().catch(error => failed.abort(error))
  try {
    await send(failed.signal)
  } catch (error) {
    throw failed.signal.aborted ? failed.signal.reason : error
  } finally {
    over.abort()
    body.destroy()
  }
}

/** The same content, but each chunk comes only when the next one, or the end, was read: a failure at the end keeps the last chunk back. */
async function* lastHeldBack(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array | undefined
  for await (const chunk of content) {
    if (held !== undefined) yield held
    held = chunk
  }
  if (held !== undefined) yield held
}
