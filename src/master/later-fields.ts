import type { z } from 'zod'

/** Under this symbol an object has the fields that JSON and comparisons shall not see. */
const LATER = Symbol('fields of a later version')
type Holder = { readonly [LATER]?: Readonly<Record<string, unknown>> | undefined }

/**
 * What was parsed, with the fields of the stored document that the schema does not have: a master of a later version has stored them. While
 * masters of two versions run, a write of the earlier one must not take them away.
 */
export function withLater<T extends object>(parsed: T, stored: object, schema: z.ZodType<T>): T {
  const known = new Set(Object.keys((schema as unknown as z.ZodObject).shape))
  const later = Object.entries(stored).filter(([name]) => !known.has(name))
  return later.length === 0 ? parsed : { ...parsed, [LATER]: Object.fromEntries(later) }
}

/** The same fields for another object, such as the next revision. */
export const carryLater = (from: object): object => {
  const later = (from as Holder)[LATER]
  return later === undefined ? {} : { [LATER]: later }
}

/** The document to store: with the fields of a later version. */
export const storedWithLater = <T extends object>(value: T): T => ({ ...(value as Holder)[LATER], ...value })
