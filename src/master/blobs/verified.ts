import { createHash } from 'node:crypto'
import { ShadowError } from '../../lib/errors.ts'
import { type Sha256, sha256 } from '../../model/digest.ts'
import type { Received } from './blobs.ts'

/** Content on its way into the store. `received` may be called when all of it was read. */
export type HashedContent = { readonly content: AsyncIterable<Uint8Array>; received(): Received }

/**
 * The content, unchanged, with its digest and length. At its end it fails with `bad-input` if another digest was expected; it fails with
 * `client-gone` if the content is cut short.
 */
export function hashed(
  given: AsyncIterable<Uint8Array>,
  expected: Sha256 | undefined,
  signal: AbortSignal,
): HashedContent {
  const hash = createHash('sha256')
  let bytes = 0
  let digest: Sha256 | undefined
  async function* content(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of given) {
        signal.throwIfAborted()
        hash.update(chunk)
        bytes += chunk.length
        yield chunk
      }
    } catch (cause) {
      if (cause instanceof ShadowError) throw cause
      throw new ShadowError('client-gone', `the content of ${saidOf(expected)} ended early`, { cause })
    }
    digest = sha256(hash.digest('hex'))
    if (expected !== undefined && digest !== expected)
      throw new ShadowError('bad-input', `the content has the SHA-256 ${digest}, not ${expected}`)
  }
  return {
    content: content(),
    received() {
      if (digest === undefined) throw new Error('the content was not read to its end')
      return { digest, bytes }
    },
  }
}

const saidOf = (digest: Sha256 | undefined): string => (digest === undefined ? 'a blob' : `blob ${digest}`)
