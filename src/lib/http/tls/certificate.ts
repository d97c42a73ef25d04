import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'

/** A certificate with its key, loaded into OpenSSL. */
export type Certificate = {
  readonly context: SecureContext
  /** The chain and the key, both PEM. */
  readonly cert: string
  readonly key: string
  /** The bounds of its validity, in milliseconds since the epoch. */
  readonly beginsAt: number
  readonly expiresAt: number
  /** The hostnames in the certificate, in lower case, wildcards included. */
  readonly names: readonly string[]
  /** Tells whether the certificate is valid for this hostname (RFC 6125, 6.4). */
  covers(hostname: string): boolean
}

const MOST_KNOWN = 1_024

/**
 * The TLS versions and ciphers of a server. All of them have forward secrecy and authenticated encryption, so that a key that is stolen later
 * decrypts nothing that was recorded before (RFC 9325, 4.2). AES-128 stands first: it costs less for each byte and each handshake than AES-256,
 * and nobody can break either.
 */
export const tlsTerms = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
} as const

/** Parses a chain and its key, both PEM. Throws if either is not well formed, or if they do not belong together. */
export function certificateOf(chain: string, key: string): Certificate {
  const leaf = new X509Certificate(chain)
  if (!leaf.checkPrivateKey(createPrivateKey(key))) throw new Error('the key is not that of the certificate')
  const known = new Map<string, boolean>()
  return {
    context: createSecureContext({ ...tlsTerms, cert: chain, key }),
    cert: chain,
    key,
    names: [...(leaf.subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g)].map(([, name = '']) => name.toLowerCase()),
    beginsAt: Date.parse(leaf.validFrom),
    expiresAt: Date.parse(leaf.validTo),
    covers(hostname) {
      const found = known.get(hostname)
      if (found !== undefined) return found
      const covered = (isIP(hostname) === 0 ? leaf.checkHost(hostname) : leaf.checkIP(hostname)) !== undefined
      if (known.size < MOST_KNOWN) known.set(hostname, covered)
      return covered
    },
  }
}
