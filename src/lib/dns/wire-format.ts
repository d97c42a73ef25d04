/** The numbers of DNS that are used here (RFC 1035, 2136, 6891, 8659, 8945). */
export const TYPE = {
  ...{ A: 1, NS: 2, SOA: 6, HINFO: 13, TXT: 16, AAAA: 28, OPT: 41, TSIG: 250 },
  ...{ IXFR: 251, AXFR: 252, ANY: 255, CAA: 257 },
} as const
export const CLASS = { IN: 1, NONE: 254, ANY: 255 } as const
export const OPCODE = { QUERY: 0, UPDATE: 5 } as const
/** How a message was answered. */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  YXDOMAIN: 6,
  YXRRSET: 7,
  NXRRSET: 8,
  NOTAUTH: 9,
  NOTZONE: 10,
  BADVERS: 16,
} as const

export type DnsRecord = {
  /** In lower case, without a dot at its end. */
  readonly name: string
  readonly type: number
  readonly class: number
  readonly ttl: number
  readonly data: Buffer
}

export type DnsQuestion = Pick<DnsRecord, 'name' | 'type' | 'class'>

/** A message without its TSIG. In an UPDATE, the zone is the question, and the updates are the authority. */
export type DnsMessage = {
  readonly id: number
  readonly opcode: number
  readonly isResponse: boolean
  /** The server is authoritative for the name. */
  readonly isAuthoritative: boolean
  readonly rcode: number
  readonly questions: readonly DnsQuestion[]
  readonly answers: readonly DnsRecord[]
  readonly authority: readonly DnsRecord[]
  readonly additional: readonly DnsRecord[]
}

export type DecodedDnsMessage = DnsMessage & {
  /** The record that signs the message, if there is one. */
  readonly tsig: DnsRecord | undefined
  /** Where that record begins. */
  readonly tsigAt: number
}

/** Bytes that are no DNS message, or a name or text that cannot be in one. */
export class DnsFormatError extends Error {}

export const HEADER_BYTES = 12
const LONGEST_LABEL = 63
const LONGEST_NAME = 255
const LONGEST_TEXT = 255
const POINTER = 0xc0

/** The message in wire format, without compression. */
export function encodeMessage(message: DnsMessage): Buffer {
  const { id, opcode, isResponse, isAuthoritative, rcode, questions, answers, authority, additional } = message
  const flags = (isResponse ? 0x8000 : 0) | (opcode << 11) | (isAuthoritative ? 0x0400 : 0) | rcode
  const counts = [questions, answers, authority, additional].map(list => uint16(list.length))
  const asked = questions.flatMap(({ name, type, class: of }) => [encodeName(name), uint16(type), uint16(of)])
  const records = [...answers, ...authority, ...additional].map(encodeRecord)
  return Buffer.concat([uint16(id), uint16(flags), ...counts, ...asked, ...records])
}

/** A record in wire format. */
export function encodeRecord({ name, type, class: of, ttl, data }: DnsRecord): Buffer {
  return Buffer.concat([encodeName(name), uint16(type), uint16(of), uint32(ttl), uint16(data.length), data])
}

/** A name in wire format, in lower case. The root is ''. */
export function encodeName(name: string): Buffer {
  const labels = name === '' ? [] : name.toLowerCase().split('.')
  const parts = labels.map(label => {
    const bytes = Buffer.from(label)
    if (bytes.length === 0 || bytes.length > LONGEST_LABEL)
      throw new DnsFormatError(`"${name}" is no DNS name: each label has 1 to ${LONGEST_LABEL} bytes`)
    return Buffer.concat([Buffer.of(bytes.length), bytes])
  })
  const whole = Buffer.concat([...parts, Buffer.of(0)])
  if (whole.length > LONGEST_NAME) throw new DnsFormatError(`"${name}" is no DNS name: it is too long`)
  return whole
}

/** The data of a TXT record with this text. */
export function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length > LONGEST_TEXT)
    throw new DnsFormatError(`a text of ${bytes.length} bytes is too long for one string`)
  return Buffer.concat([Buffer.of(bytes.length), bytes])
}

export const uint16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff)

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A message with its length before it, as over TCP (RFC 1035, 4.2.2). */
export const framed = (message: Buffer): Buffer => Buffer.concat([uint16(message.length), message])

/** Reads a message. Fails with `DnsFormatError`, whatever the bytes are. */
export function decodeMessage(bytes: Buffer): DecodedDnsMessage {
  const reader = new DnsReader(bytes)
  const id = reader.uint16()
  const flags = reader.uint16()
  const [asked = 0, answered = 0, authorities = 0, more = 0] = [1, 2, 3, 4].map(() => reader.uint16())
  // Each record has at least 11 bytes, so the length of the message limits what is read.
  const times = <T>(count: number, read: () => T): T[] => Array.from({ length: count }, read)
  if (HEADER_BYTES + asked * 5 + (answered + authorities + more) * 11 > bytes.length)
    throw new DnsFormatError('it has more records than bytes')
  const questions = times(asked, () => ({ name: reader.name(), type: reader.uint16(), class: reader.uint16() }))
  const answers = times(answered, () => reader.record())
  const authority = times(authorities, () => reader.record())
  let tsigAt = bytes.length
  const additional = times(more, () => {
    tsigAt = reader.at
    return reader.record()
  })
  if (reader.at !== bytes.length) throw new DnsFormatError('it has bytes after its last record')
  const last = additional.at(-1)
  const tsig = last?.type === TYPE.TSIG ? last : undefined
  return {
    ...{ id, opcode: (flags >> 11) & 0xf, rcode: flags & 0xf, questions, answers, authority, tsig, tsigAt },
    isResponse: (flags & 0x8000) !== 0,
    isAuthoritative: (flags & 0x0400) !== 0,
    additional: tsig === undefined ? additional : additional.slice(0, -1),
  }
}

/** Reads the parts of a message one after the other. Each method fails with `DnsFormatError` where the bytes end. */
export class DnsReader {
  readonly #bytes: Buffer
  at: number

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes
    this.at = at
  }

  take(length: number): Buffer {
    if (this.at + length > this.#bytes.length) throw new DnsFormatError('it ends too early')
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }

  uint16(): number {
    return this.take(2).readUInt16BE()
  }

  /** A name in lower case. A pointer of a compressed name must lead back, so that names cannot be endless. */
  name(): string {
    const labels: string[] = []
    let before = this.at
    let after: number | undefined
    let length = 1
    for (;;) {
      const size = this.take(1).readUInt8()
      if (size === 0) break
      if ((size & POINTER) === POINTER) {
        const target = ((size & ~POINTER) << 8) | this.take(1).readUInt8()
        if (target >= before) throw new DnsFormatError('a name has a pointer that does not lead back')
        after ??= this.at
        before = target
        this.at = target
        continue
      }
      if (size > LONGEST_LABEL) throw new DnsFormatError('a name has a label of an unknown kind')
      length += size + 1
      if (length > LONGEST_NAME) throw new DnsFormatError('a name is too long')
      labels.push(readable(this.take(size)))
    }
    this.at = after ?? this.at
    return labels.join('.')
  }

  record(): DnsRecord {
    const name = this.name()
    const [type, of] = [this.uint16(), this.uint16()]
    const ttl = this.take(4).readUInt32BE()
    return { name, type, class: of, ttl, data: this.take(this.uint16()) }
  }
}

/** The label with every byte that is not usual in a hostname as \DDD, so that no label looks like two. */
const readable = (label: Buffer): string =>
  label
    .toString('latin1')
    .toLowerCase()
    .replace(/[^a-z0-9_*-]/g, byte => `\\${String(byte.charCodeAt(0)).padStart(3, '0')}`)
