import { createHmac, timingSafeEqual } from 'node:crypto'
import {
  CLASS,
  type DecodedDnsMessage,
  DnsFormatError,
  DnsReader,
  type DnsRecord,
  encodeName,
  encodeRecord,
  TYPE,
  uint16,
} from './wire-format.ts'

/** A key that a client and a DNS server share (RFC 8945). The algorithm is HMAC-SHA256. */
export type TsigKey = { readonly name: string; readonly secret: Buffer }

/** What a TSIG record says. */
export type Tsig = {
  readonly keyName: string
  readonly algorithm: string
  /** In seconds since 1970. */
  readonly signedAt: number
  readonly fudge: number
  readonly mac: Buffer
  readonly originalId: number
  /** 0, or what is wrong with the TSIG of the question: see `TSIG_ERROR`. */
  readonly error: number
  /** With BADTIME, the time of the server. */
  readonly other: Buffer
}

export const TSIG_ERROR = { BADSIG: 16, BADKEY: 17, BADTIME: 18 } as const
export const ALGORITHM = 'hmac-sha256'
/** By how many seconds the clocks of client and server may differ. */
export const FUDGE_SECONDS = 300

/** The message with a TSIG record at its end, and the MAC of that record. */
export function signMessage(
  message: Buffer,
  key: TsigKey,
  signedAt: number,
  { requestMac, error = 0, other = Buffer.alloc(0) }: { requestMac?: Buffer; error?: number; other?: Buffer } = {},
): { readonly signed: Buffer; readonly mac: Buffer } {
  const fields = { keyName: key.name, algorithm: ALGORITHM, signedAt, fudge: FUDGE_SECONDS, error, other }
  const mac = macOf(message, fields, key, requestMac)
  const record = encodeTsig({ ...fields, mac, originalId: message.readUInt16BE(0) })
  const signed = Buffer.concat([message, record])
  signed.writeUInt16BE(message.readUInt16BE(10) + 1, 10)
  return { signed, mac }
}

/** Reads the TSIG of a message; undefined if it has none. Fails with `DnsFormatError`. */
export function tsigOf({ tsig }: DecodedDnsMessage): Tsig | undefined {
  if (tsig === undefined) return undefined
  const reader = new DnsReader(tsig.data)
  const algorithm = reader.name()
  const signedAt = reader.take(6).readUIntBE(0, 6)
  const fudge = reader.uint16()
  const mac = reader.take(reader.uint16())
  const [originalId, error] = [reader.uint16(), reader.uint16()]
  const other = reader.take(reader.uint16())
  if (reader.at !== tsig.data.length) throw new DnsFormatError('its TSIG has bytes after its end')
  return { keyName: tsig.name, algorithm, signedAt, fudge, mac, originalId, error, other }
}

/** Whether the answer was signed by this key, for the question with that MAC. The time is not looked at. */
export function isSignedBy(bytes: Buffer, decoded: DecodedDnsMessage, key: TsigKey, requestMac?: Buffer): boolean {
  const tsig = tsigOf(decoded)
  if (tsig === undefined || tsig.algorithm !== ALGORITHM || tsig.keyName !== key.name.toLowerCase()) return false
  // The MAC is over these two as they have to be, whatever the record says.
  if (decoded.tsig?.class !== CLASS.ANY || decoded.tsig.ttl !== 0) return false
  const message = Buffer.from(bytes.subarray(0, decoded.tsigAt))
  message.writeUInt16BE(tsig.originalId, 0)
  message.writeUInt16BE(message.readUInt16BE(10) - 1, 10)
  const mac = macOf(message, tsig, key, requestMac)
  return mac.length === tsig.mac.length && timingSafeEqual(mac, tsig.mac)
}

function macOf(
  message: Buffer,
  { signedAt, fudge, error, other }: Omit<Tsig, 'mac' | 'originalId'>,
  key: TsigKey,
  requestMac?: Buffer,
): Buffer {
  const hmac = createHmac('sha256', key.secret)
  if (requestMac !== undefined) hmac.update(uint16(requestMac.length)).update(requestMac)
  const variables = [
    ...[encodeName(key.name), uint16(CLASS.ANY), Buffer.alloc(4), encodeName(ALGORITHM)],
    ...[uint48(signedAt), uint16(fudge), uint16(error), uint16(other.length), other],
  ]
  return hmac.update(message).update(Buffer.concat(variables)).digest()
}

function encodeTsig({ keyName, algorithm, signedAt, fudge, mac, originalId, error, other }: Tsig): Buffer {
  const data = Buffer.concat([
    ...[encodeName(algorithm), uint48(signedAt), uint16(fudge), uint16(mac.length), mac],
    ...[uint16(originalId), uint16(error), uint16(other.length), other],
  ])
  const record: DnsRecord = { name: keyName, type: TYPE.TSIG, class: CLASS.ANY, ttl: 0, data }
  return encodeRecord(record)
}

function uint48(value: number): Buffer {
  const bytes = Buffer.alloc(6)
  bytes.writeUIntBE(value, 0, 6)
  return bytes
}
