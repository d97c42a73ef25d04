import { randomUUID } from 'node:crypto'
import { ShadowError } from '../../lib/errors.ts'

/**
 * A document as it is written down. Its `writeId` makes every write another version, even of the same content, and lets a
 * writer whose answer got lost see whether its write landed. It is never part of the value.
 */
export function seal(value: object): { readonly text: string; readonly writeId: string } {
  const writeId = randomUUID()
  return { text: `${JSON.stringify({ ...value, writeId }, null, 2)}\n`, writeId }
}

/** The value and the writeId of a document that was written down. */
export function unseal(key: string, text: string): { readonly value: unknown; readonly writeId: unknown } {
  try {
    const { writeId, ...value } = JSON.parse(text)
    return { value, writeId }
  } catch (cause) {
    throw new ShadowError('internal', `the stored document ${key} is not JSON`, { cause })
  }
}

const KEY = /^(?:[a-z0-9_][a-z0-9._-]*\/)*[a-z0-9_][a-z0-9._-]*\.json$/

/** The key, if it is one: lower case, no segment that begins with a dot, so that it cannot lead out of where documents are. */
export function checkedKey(key: string): string {
  if (!KEY.test(key)) throw new ShadowError('bad-input', `"${key}" is not a key of a document`)
  return key
}
