/** What the first bytes of a TLS connection say. `more`: they are not all there yet. */
export type ClientHello =
  | { readonly kind: 'more' }
  | { readonly kind: 'hello'; readonly servername: string | undefined; readonly isEncrypted: boolean }
  | { readonly kind: 'fault'; readonly fault: string }

/** A ClientHello with keys of post-quantum groups has some 2 KB. */
const MOST_HELLO = 16_384
const HANDSHAKE = 0x16
const CLIENT_HELLO = 1
const RECORD_HEADER = 5
const MOST_RECORD = 16_384
const MOST_RECORDS = 64
/** Of a message of the handshake: its type, and its length. */
const HEADER = 4
const SERVER_NAME = 0
const ENCRYPTED_CLIENT_HELLO = 0xfe0d
const HOST_NAME = 0

const MORE: ClientHello = { kind: 'more' }
const fault = (text: string): ClientHello => ({ kind: 'fault', fault: text })

/** The first byte of a TLS connection. */
export const beginsTls = (first: number): boolean => first === HANDSHAKE

/**
 * Reads the ClientHello (RFC 8446, 4.1.2) at the beginning of a connection, without decrypting anything. It may be cut into several records.
 * `isEncrypted`: the name that is meant may be another one than `servername` (Encrypted Client Hello). Never throws.
 */
export function readClientHello(bytes: Buffer): ClientHello {
  const parts: Buffer[] = []
  let got = 0
  let wanted = HEADER
  for (let at = 0; got < wanted; ) {
    if (bytes.length > at && bytes[at] !== HANDSHAKE) return fault('it is not TLS')
    if (bytes.length < at + RECORD_HEADER) return MORE
    const length = bytes.readUInt16BE(at + 3)
    if (bytes[at + 1] !== 3 || length === 0 || length > MOST_RECORD) return fault('a record of TLS is not well formed')
    if (parts.length === MOST_RECORDS) return fault(`its ClientHello is in more than ${MOST_RECORDS} records`)
    const part = bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length)
    if (got === 0 && part.length > 0 && part[0] !== CLIENT_HELLO) return fault('it begins with no ClientHello')
    parts.push(part)
    got += part.length
    at += RECORD_HEADER + length
    if (wanted === HEADER && got >= HEADER) wanted = HEADER + Buffer.concat(parts).readUIntBE(1, 3)
    if (wanted > HEADER + MOST_HELLO) return fault(`its ClientHello has ${wanted - HEADER} bytes`)
  }
  return readBody(new Reader(Buffer.concat(parts).subarray(HEADER, wanted)))
}

function readBody(body: Reader): ClientHello {
  body.skip(2 + 32) // version, random
  body.skip(body.uint8()) // session
  body.skip(body.uint16()) // cipher suites
  body.skip(body.uint8()) // compression
  if (body.isBroken) return fault('its ClientHello is not well formed')
  let servername: string | undefined
  let isEncrypted = false
  const extensions = body.left === 0 ? new Reader(Buffer.alloc(0)) : body.inner(body.uint16())
  const seen = new Set<number>()
  while (extensions.left > 0 && !extensions.isBroken) {
    const type = extensions.uint16()
    const extension = extensions.inner(extensions.uint16())
    // Two of a kind are not allowed (RFC 8446, 4.2): two readers might each take another one.
    if (seen.has(type)) return fault('an extension comes twice')
    seen.add(type)
    if (type === ENCRYPTED_CLIENT_HELLO) isEncrypted = true
    if (type !== SERVER_NAME) continue
    const names = extension.inner(extension.uint16())
    const kind = names.uint8()
    const name = names.take(names.uint16())
    // One name, and nothing after it (RFC 6066, 3): else a server might read another one.
    if (kind !== HOST_NAME || names.left > 0 || extension.left > 0 || names.isBroken || extension.isBroken)
      return fault('its server name is not well formed')
    servername = name.toString('latin1')
  }
  if (body.isBroken || extensions.isBroken || body.left > 0) return fault('its ClientHello is not well formed')
  return { kind: 'hello', servername, isEncrypted }
}

/** Reads numbers and parts of bytes. Past the end it reads zeros, and is broken from then on. */
class Reader {
  readonly #bytes: Buffer
  #at = 0
  isBroken = false

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  take(length: number): Buffer {
    if (length > this.left) {
      this.isBroken = true
      this.#at = this.#bytes.length
      return Buffer.alloc(0)
    }
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  skip(length: number): void {
    this.take(length)
  }

  inner(length: number): Reader {
    const taken = this.take(length)
    const reader = new Reader(taken)
    reader.isBroken = taken.length < length
    return reader
  }

  uint8(): number {
    return this.take(1)[0] ?? 0
  }

  uint16(): number {
    const taken = this.take(2)
    return taken.length < 2 ? 0 : taken.readUInt16BE(0)
  }
}
