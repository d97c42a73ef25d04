import { ShadowError } from '../lib/errors.ts'

/** A SHA-256 digest: 64 hexadecimal digits, lower case. It names a blob by its content. */
export type Sha256 = string & { readonly brand: 'Sha256' }

/** Parses a digest; fails with `bad-input`. */
export function sha256(text: string): Sha256 {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is no SHA-256 digest: 64 of 0-9 and a-f`)
  return text as Sha256
}
