import { ShadowError } from '../lib/errors.ts'
import type { Range } from './blobs/blobs.ts'

/**
 * The single range of a request (RFC 9110, 14.1.2). Requests with another form of range are answered with all content, as the RFC
 * allows.
 */
export function rangeOf(header: string | undefined, size: number): Range | undefined {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(header ?? '') ?? []
  if (from === undefined) return undefined
  const first = Number(from)
  const last = to === '' || to === undefined ? size - 1 : Math.min(Number(to), size - 1)
  if (first > last) throw new ShadowError('bad-input', `it has ${size} bytes, and no range ${header}`)
  return { first, last }
}
