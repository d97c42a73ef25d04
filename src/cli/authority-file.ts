import { X509Certificate } from 'node:crypto'
import { ShadowError } from '../lib/errors.ts'
import { readIfThere } from '../lib/files.ts'

/** The certificate of a cluster's CA in the file (PEM); fails with `bad-input`. */
export async function readAuthority(file: string): Promise<string> {
  const text = await readIfThere(file)
  try {
    if (text !== undefined && new X509Certificate(text).ca) return text
  } catch {
    // the error below says what is wrong
  }
  const why = text === undefined ? 'is not there' : 'is not the certificate of a CA'
  throw new ShadowError('bad-input', `${file} ${why}`, { hint: 'write it with: shadow cluster ca >FILE' })
}
