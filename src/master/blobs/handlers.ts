import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { ShadowError } from '../../lib/errors.ts'
import type { Sha256 } from '../../model/digest.ts'
import { sayBytes } from '../../model/quantities.ts'
import { rangeOf } from '../range.ts'
import type { SourceStore } from '../sources/source-store.ts'

export type BlobHandlers = ReturnType<typeof blobHandlers>

/** The HTTP handlers for blobs; uploads and downloads are streamed. */
export function blobHandlers({ sources, limitBytes }: { sources: SourceStore; limitBytes: number }) {
  const { blobs } = sources
  const mustHave = async (digest: Sha256): Promise<number> => {
    const size = await blobs.size(digest)
    if (size === undefined) throw new ShadowError('not-found', `there is no blob ${digest}`)
    return size
  }

  return {
    /** Stores the request's body. Fails with `too-large`, `bad-input` (another digest), `disk-full`. */
    async put(digest: Sha256, request: IncomingMessage, signal: AbortSignal): Promise<void> {
      if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes)
      // A refusal must still reach the client, so a reader that stops early must not destroy the request.
      const content = request.iterator({ destroyOnReturn: false })
      await sources.want(digest)
      await blobs.put(digest, atMost(limitBytes, content), signal)
    },

    /** Answers with the blob, or with the range of it that the request names. Fails with `not-found`, `bad-input`. */
    async get(digest: Sha256, request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
      const size = await mustHave(digest)
      const range = rangeOf(request.headers.range, size)
      const content = await blobs.get(digest, range, signal)
      if (content === undefined) throw new ShadowError('not-found', `the blob ${digest} was removed just now`)
      const { first, last } = range ?? { first: 0, last: size - 1 }
      response.writeHead(range === undefined ? 200 : 206, {
        ...headersOf(digest, last - first + 1),
        ...(range !== undefined && { 'content-range': `bytes ${first}-${last}/${size}` }),
      })
      await pipeline(content, response, { end: false })
    },

    /** Answers with the head that `get` would send. Whoever asks may deploy it: it is not collected for a while. Fails with `not-found`. */
    async head(digest: Sha256, response: ServerResponse): Promise<void> {
      await sources.wantStored(digest)
      response.writeHead(200, headersOf(digest, await mustHave(digest)))
    },
  }
}

const headersOf = (digest: Sha256, bytes: number) => ({
  'content-type': 'application/octet-stream',
  'content-length': bytes,
  'accept-ranges': 'bytes',
  etag: `"${digest}"`,
  'cache-control': 'no-store',
})

async function* atMost(limitBytes: number, content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of content) {
    bytes += chunk.length
    if (bytes > limitBytes) throw tooLarge(limitBytes)
    yield chunk
  }
}

const tooLarge = (limitBytes: number): ShadowError =>
  new ShadowError('too-large', `the blob is larger than ${sayBytes(limitBytes)}`, {
    hint: 'leave out what the app does not need, or raise SHADOW_BLOB_LIMIT of the masters',
  })
