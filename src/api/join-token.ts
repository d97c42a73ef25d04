import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { ShadowError } from '../lib/errors.ts'
import { url as parseUrl } from '../lib/settings.ts'

/**
 * What a machine needs to join a cluster: the secret that is good once, where the masters are, and the hash of the cluster's CA. By the hash
 * the machine knows the master at its first contact: nobody in between can answer in its place.
 */
export type JoinToken = { readonly secret: string; readonly caHash: string; readonly url: string }

const FORM = /^shadowjoin1\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]+)$/

/** The token as text. */
export const joinTokenText = ({ secret, caHash, url }: JoinToken): string =>
  `shadowjoin1.${secret}.${caHash}.${Buffer.from(url).toString('base64url')}`

/** Parses a token; fails with `bad-input`. The message never repeats the token. */
export function joinToken(text: string): JoinToken {
  const [, secret = '', caHash = '', url = ''] = FORM.exec(text.trim()) ?? []
  try {
    if (secret !== '') return { secret, caHash, url: parseUrl(Buffer.from(url, 'base64url').toString()) }
  } catch {
    // the error below says what is wrong
  }
  throw new ShadowError(
    'bad-input',
    'this is no token to join a cluster; it begins with "shadowjoin1." and is one word',
    {
      hint: 'make one: shadow node token NAME, or shadow proxy token NAME',
    },
  )
}

export const newJoinSecret = (): string => randomBytes(32).toString('base64url')

/** SHA-256 of a certificate (PEM), in base64url. */
export const certificateHash = (certificate: string): string =>
  createHash('sha256').update(new X509Certificate(certificate).raw).digest('base64url')
