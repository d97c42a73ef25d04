import { randomUUID } from 'node:crypto'
import { ShadowError } from '../../lib/errors.ts'

/**
 * The stored form of a document. Its `writeId` gives every write a version of its own, even if the content is the same.
 * A writer that got no answer uses it to find out whether its write took effect. The `writeId` is never part of the value.
 */
export function seal(value: object): { readonly text: string; readonly writeId: string } {
  const writeId = randomUUID()
  return { text: `${JSON.stringify({ ...value, writeId }, null, 2)}\n`, writeId }
}

/** The value and the `writeId` from the stored form. */
export function unseal(key: string, text: string): { readonly value: unknown; readonly writeId: unknown } {
  try {
    const { writeId, ...value } = JSON.parse(text)
    return { value, writeId }
  } catch (cause) {
    const why = `${(cause as Error).message} (${text.length} characters)`
    throw new ShadowError('internal', `the stored document ${key} is not JSON: ${why}`, { cause })
  }
}

const KEY = /^(?:[a-z0-9_][a-z0-9._-]*\/)*[a-z0-9_][a-z0-9._-]*\.json$/

/** Checks a key: lower case, and no segment begins with a dot, so that the key cannot lead out of the document folder. */
export function checkedKey(key: string): string {
  if (!KEY.test(key)) throw new ShadowError('bad-input', `"${key}" is not a key of a document`)
  return key
}
