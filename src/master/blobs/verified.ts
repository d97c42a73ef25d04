import { createHash } from 'node:crypto'
import { ShadowError } from '../../lib/errors.ts'
import type { Sha256 } from '../../model/digest.ts'

/**
 * The content, unchanged. At its end it fails with `bad-input` if the digest differs; it fails with `client-gone` if the content is cut
 * short.
 */
export async function* verified(
  digest: Sha256,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of content) {
      signal.throwIfAborted()
      hash.update(chunk)
      yield chunk
    }
  } catch (cause) {
    if (cause instanceof ShadowError) throw cause
    throw new ShadowError('client-gone', `the content of blob ${digest} ended early`, { cause })
  }
  const found = hash.digest('hex')
  if (found !== digest) throw new ShadowError('bad-input', `the content has the SHA-256 ${found}, not ${digest}`)
}
