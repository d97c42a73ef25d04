import { createHash, createPublicKey } from 'node:crypto'
import { ShadowError } from '../../lib/errors.ts'

/** A public key of SSH: its algorithm, and its bytes as the protocol carries them. */
export type PublicKey = { readonly algorithm: string; readonly bytes: Buffer }

const ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
] as const
const LEAST_RSA_BITS = 2_048

/** Reads a line of a `.pub` file; fails with `bad-input` that says what is wrong with it. */
export function parsePublicKey(line: string): PublicKey {
  const text = line.trim()
  if (/PRIVATE KEY/.test(text))
    throw bad('this is a private key, which must stay where it is', 'give the file that ends in .pub')
  if (text.includes('\n')) throw bad('it has more than one line')
  const [algorithm = '', base64 = ''] = text.split(/\s+/)
  if (!(ALGORITHMS as readonly string[]).includes(algorithm))
    throw bad(`"${algorithm.slice(0, 40)}" is no kind of key that is taken here`, `kinds: ${ALGORITHMS.join(', ')}`)
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.length < 8 || stringAt(bytes, 0)?.toString() !== algorithm)
    throw bad('its second word is not a key of that kind')
  if (algorithm === 'ssh-rsa' && bitsOf(bytes) < LEAST_RSA_BITS)
    throw bad(`its ${bitsOf(bytes)} bits can be broken`, 'make a new one: ssh-keygen -t ed25519')
  return { algorithm, bytes }
}

/** As ssh-keygen shows it. */
export const fingerprintOf = ({ bytes }: Pick<PublicKey, 'bytes'>): string =>
  `SHA256:${createHash('sha256').update(bytes).digest('base64').replace(/=+$/, '')}`

/** The string that begins at `at`: RFC 4251, 5. */
function stringAt(bytes: Buffer, at: number): Buffer | undefined {
  if (bytes.length < at + 4) return undefined
  const length = bytes.readUInt32BE(at)
  return bytes.length < at + 4 + length ? undefined : bytes.subarray(at + 4, at + 4 + length)
}

/** The length of the modulus of an RSA key: RFC 4253, 6.6. */
function bitsOf(bytes: Buffer): number {
  const exponent = stringAt(bytes, 4 + 'ssh-rsa'.length)
  const modulus = exponent && stringAt(bytes, 4 + 'ssh-rsa'.length + 4 + exponent.length)
  if (exponent === undefined || modulus === undefined) return 0
  const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') }
  return createPublicKey({ key: jwk, format: 'jwk' }).asymmetricKeyDetails?.modulusLength ?? 0
}

const bad = (why: string, hint?: string): ShadowError =>
  new ShadowError('bad-input', `publicKey: ${why}`, { faults: [{ field: 'publicKey', message: why }], hint })
