import { type DnsRecord, encodeName, HEADER_BYTES, TYPE, uint16, uint32 } from './wire-format.ts'

/** The largest answer by UDP: it passes IPv6 networks in one piece. */
export const MOST_UDP_BYTES = 1_232
const LONGEST_POINTER = 0x3fff

export type DnsResponse = {
  /** May have more than 4 bits if the query has EDNS. */
  readonly rcode: number
  /** The server is authoritative for the name. */
  readonly isAuthoritative?: boolean
  /** The server asks others where it is asked to. */
  readonly isRecursive?: boolean
  readonly answers?: readonly DnsRecord[]
  readonly authority?: readonly DnsRecord[]
  /** Left out where there is no room. */
  readonly additional?: readonly DnsRecord[]
  /** The client is to ask again by TCP. */
  readonly isTruncated?: boolean
}

type To = {
  /** In lower case, as `DnsReader` reads it. */
  readonly name: string
  /** Where the question ends in its message. */
  readonly end: number
  /** The query has an OPT record, so the response gets one (RFC 6891). */
  readonly hasEdns?: boolean
}

/**
 * A response to the query whose first question this is. The question is repeated byte by byte, so clients that choose capitals at random find them again. Names are
 * compressed. A response that does not fit into `mostBytes` says so by its TC bit, and has no records.
 */
export function encodeResponse(query: Buffer, to: To, response: DnsResponse, mostBytes = 65_535): Buffer {
  const { answers = [], authority = [], additional = [] } = response
  const write = (given: readonly (readonly DnsRecord[])[], isTruncated: boolean): Buffer => {
    const writer = new RecordWriter(query, to)
    for (const records of given) for (const record of records) writer.record(record)
    const opt = to.hasEdns === true ? [optRecord(response.rcode)] : []
    const whole = Buffer.concat([query.subarray(0, to.end), ...writer.parts, ...opt])
    const counts = [given[0], given[1], given[2]].map(records => records?.length ?? 0)
    setHeader(whole, query, { ...response, isTruncated })
    whole.writeUInt16BE(1, 4)
    whole.writeUInt16BE(counts[0] ?? 0, 6)
    whole.writeUInt16BE(counts[1] ?? 0, 8)
    whole.writeUInt16BE((counts[2] ?? 0) + opt.length, 10)
    return whole
  }
  if (response.isTruncated === true) return write([], true)
  const whole = write([answers, authority, additional], false)
  if (whole.length <= mostBytes) return whole
  const needed = write([answers, authority], false)
  return needed.length <= mostBytes ? needed : write([], true)
}

/** A response of a header alone, to a message that is not understood. */
export function headerAlone(message: Buffer, response: Pick<DnsResponse, 'rcode' | 'isRecursive'>): Buffer {
  const answer = Buffer.alloc(HEADER_BYTES)
  message.copy(answer, 0, 0, 4)
  setHeader(answer, message, response)
  return answer
}

/** The response has the id and the opcode of the query, and its wish for recursion. */
function setHeader(answer: Buffer, query: Buffer, response: DnsResponse): void {
  const { rcode, isAuthoritative = false, isRecursive = false, isTruncated = false } = response
  answer[2] = 0x80 | ((query[2] ?? 0) & 0x79) | (isAuthoritative ? 0x04 : 0) | (isTruncated ? 0x02 : 0)
  answer[3] = (isRecursive ? 0x80 : 0) | (rcode & 0xf)
}

/** Says how large answers by UDP may be that this server takes, and the upper bits of the response code. */
function optRecord(rcode: number): Buffer {
  return Buffer.concat([
    ...[Buffer.of(0), uint16(TYPE.OPT), uint16(MOST_UDP_BYTES)],
    ...[uint32(((rcode >> 4) & 0xff) * 2 ** 24), uint16(0)],
  ])
}

/** Writes records behind a question, and each name by a pointer to where its end has been written before (RFC 1035, 4.1.4). */
class RecordWriter {
  readonly parts: Buffer[] = []
  readonly #offsets = new Map<string, number>()
  #at: number

  constructor(query: Buffer, { name, end }: To) {
    this.#at = end
    let at = HEADER_BYTES
    const labels = name === '' ? [] : name.split('.')
    for (const index of labels.keys()) {
      this.#offsets.set(labels.slice(index).join('.'), at)
      at += 1 + (query[at] ?? 0)
    }
  }

  record({ name, type, class: of, ttl, data }: DnsRecord): void {
    this.#name(name.toLowerCase())
    this.#push(Buffer.concat([uint16(type), uint16(of), uint32(ttl), uint16(data.length), data]))
  }

  #name(name: string): void {
    const labels = name === '' ? [] : name.split('.')
    for (const [index, label] of labels.entries()) {
      const rest = labels.slice(index).join('.')
      const offset = this.#offsets.get(rest)
      if (offset !== undefined) {
        this.#push(uint16(0xc000 | offset))
        return
      }
      if (this.#at <= LONGEST_POINTER) this.#offsets.set(rest, this.#at)
      this.#push(encodeName(label).subarray(0, -1))
    }
    this.#push(Buffer.of(0))
  }

  #push(bytes: Buffer): void {
    this.parts.push(bytes)
    this.#at += bytes.length
  }
}
