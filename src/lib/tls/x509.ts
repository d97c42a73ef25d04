import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto'
import type * as Library from '@peculiar/x509'
import { ShadowError } from '../errors.ts'

// The driver of the library that makes certificates: node:crypto can read and check them, and cannot make them. All inputs and outputs are
// PEM. Keys are of the curve P-256.

const CURVE = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const
const SERIAL_BYTES = 16

/** An authority that signs certificates: its own certificate, and its key. */
export type Authority = { readonly certificate: string; readonly key: string }
type Validity = { readonly from: number; readonly until: number }
type Request = Validity & {
  /** The request (PKCS #10) of who will use the certificate. Only its public key is taken from it. */
  readonly request: string
  /** The common name: a DNS label. */
  readonly name: string
  /** The DNS names that the certificate is valid for. */
  readonly hosts: readonly string[]
  /** Whether its owner may connect to others with it only, or be connected to as well. */
  readonly isServer: boolean
}

/** Makes a private key (PKCS #8). */
export function newPrivateKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: CURVE.namedCurve })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** The request for a certificate of this key. It proves that its sender has the key. */
export async function certificateRequest(key: string): Promise<string> {
  const x509 = await library()
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=shadow',
    keys: await pairOf(key),
    signingAlgorithm: SIGNATURE,
  })
  return request.toString('pem')
}

/** Makes the certificate of an authority, signed by its own key. It may sign no other authority. */
export async function authorityCertificate({
  name,
  key,
  from,
  until,
}: Validity & { readonly name: string; readonly key: string }): Promise<string> {
  const x509 = await library()
  const keys = await pairOf(key)
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: `CN=${name}`,
    notBefore: new Date(from),
    notAfter: new Date(until),
    keys,
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return certificate.toString('pem')
}

/** Signs a certificate for the key of a request. Fails with `bad-input` if the request is not well formed or is not signed by its key. */
export async function signCertificate(
  { certificate: own, key }: Authority,
  { request, name, hosts, isServer, from, until }: Request,
): Promise<string> {
  const x509 = await library()
  const publicKey = await publicKeyOf(request)
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage
  const issuer = new x509.X509Certificate(own)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: `CN=${name}`,
    issuer: issuer.subjectName,
    notBefore: new Date(from),
    notAfter: new Date(until),
    publicKey,
    signingKey: (await pairOf(key)).privateKey,
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(isServer ? [clientAuth, serverAuth] : [clientAuth], false),
      new x509.SubjectAlternativeNameExtension(hosts.map(value => ({ type: 'dns', value }))),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  })
  return certificate.toString('pem')
}

/** The public key of a request (SubjectPublicKeyInfo, DER); fails with `bad-input` as `signCertificate` does. */
export async function publicKeyIn(request: string): Promise<Buffer> {
  return Buffer.from((await publicKeyOf(request)).rawData)
}

async function publicKeyOf(request: string): Promise<Library.PublicKey> {
  const x509 = await library()
  try {
    const parsed = new x509.Pkcs10CertificateRequest(request)
    const key = createPublicKey({ key: Buffer.from(parsed.publicKey.rawData), type: 'spki', format: 'der' })
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('its key is not of the curve P-256')
    if (!(await parsed.verify())) throw new Error('it is not signed by its own key')
    return parsed.publicKey
  } catch (cause) {
    throw new ShadowError('bad-input', `the request for a certificate is not taken: ${(cause as Error).message}`, {
      cause,
    })
  }
}

// It takes 100 ms to load, and most processes never make a certificate.
async function library(): Promise<typeof Library> {
  const x509 = await import('@peculiar/x509')
  x509.cryptoProvider.set(webcrypto as unknown as Parameters<(typeof x509)['cryptoProvider']['set']>[1])
  return x509
}

async function pairOf(pem: string): Promise<webcrypto.CryptoKeyPair> {
  const key = createPrivateKey(pem)
  const { subtle } = webcrypto
  const secret = new Uint8Array(key.export({ type: 'pkcs8', format: 'der' }))
  const open = new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }))
  return {
    privateKey: await subtle.importKey('pkcs8', secret, CURVE, false, ['sign']),
    publicKey: await subtle.importKey('spki', open, CURVE, true, ['verify']),
  }
}

/** A random serial number; its first bit is 0, since serial numbers are positive (RFC 5280, 4.1.2.2). */
function newSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}
