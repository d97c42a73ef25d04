import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext, DEFAULT_CIPHERS, type SecureContext } from 'node:tls'

/** A certificate with its key, as OpenSSL has them. */
export type Certificate = {
  readonly context: SecureContext
  /** What it was made of, PEM. */
  readonly cert: string
  readonly key: string
  readonly expiresAt: number
  /** The hostnames that it is for, as it says them itself: in lower case, wildcards among them. */
  readonly names: readonly string[]
  /** Whether it is for this hostname (RFC 6125, 6.4). */
  covers(hostname: string): boolean
}

const MOST_KNOWN = 1_024

/**
 * The versions and ciphers of a server. Node lists AES-256 first for TLS 1.3 (for 1.2 it does not): AES-128 costs less for each byte and
 * each handshake, and is as far from being broken.
 */
export const tlsTerms = {
  minVersion: 'TLSv1.2',
  ciphers: [...new Set(['TLS_AES_128_GCM_SHA256', ...DEFAULT_CIPHERS.split(':')])].join(':'),
} as const

/** Reads a chain and its key, both PEM; throws where either is not well formed or they do not belong together. */
export function certificateOf(chain: string, key: string): Certificate {
  const leaf = new X509Certificate(chain)
  if (!leaf.checkPrivateKey(createPrivateKey(key))) throw new Error('the key is not that of the certificate')
  const known = new Map<string, boolean>()
  return {
    context: createSecureContext({ ...tlsTerms, cert: chain, key }),
    cert: chain,
    key,
    names: [...(leaf.subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g)].map(([, name = '']) => name.toLowerCase()),
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
