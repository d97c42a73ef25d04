import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'

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

/** Reads a chain and its key, both PEM; throws where either is not well formed or they do not belong together. */
export function certificateOf(chain: string, key: string): Certificate {
  const leaf = new X509Certificate(chain)
  if (!leaf.checkPrivateKey(createPrivateKey(key))) throw new Error('the key is not that of the certificate')
  const known = new Map<string, boolean>()
  return {
    context: createSecureContext({ cert: chain, key, minVersion: 'TLSv1.2' }),
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
