// What a server needs of DNS that answers one question.

import { addressData } from './records.ts'
import { encodeResponse, headerAlone, MOST_UDP_BYTES } from './response.ts'
import { CLASS, DnsFormatError, DnsReader, decodeMessage, HEADER_BYTES, OPCODE, RCODE, TYPE } from './wire-format.ts'

/** A question. `end`: where it ends in its message. */
export type Question = {
  /** In lower case, without the dot at its end. */
  readonly name: string
  readonly type: number
  readonly isInternet: boolean
  readonly end: number
}

/** The question of a query; undefined if the message is no query with one well-formed question. Never throws. */
export function questionOf(message: Buffer): Question | undefined {
  if (message.length < HEADER_BYTES || isAnswer(message) || opcode(message) !== OPCODE.QUERY) return undefined
  if (message.readUInt16BE(4) !== 1) return undefined
  // From its first byte on, so that no pointer has anything to lead back to.
  const reader = new DnsReader(message.subarray(HEADER_BYTES))
  try {
    const name = reader.name()
    const [type, of] = [reader.uint16(), reader.uint16()]
    return { name, type, isInternet: of === CLASS.IN, end: HEADER_BYTES + reader.at }
  } catch (error) {
    if (error instanceof DnsFormatError) return undefined
    throw error
  }
}

/** A query as a server that is authoritative for names reads it. */
export type DnsQuery = Question & {
  /** Its OPT record (RFC 6891), if it has one. */
  readonly hasEdns: boolean
  /** The largest answer by UDP that its client takes. */
  readonly mostUdpBytes: number
}

/** Reads a query; for any other message, gives the answer: undefined where nobody may be answered. Never throws. */
export function readQuery(message: Buffer): { readonly query: DnsQuery } | { readonly answer: Buffer | undefined } {
  // To answer an answer could go on for ever between two servers.
  if (message.length < HEADER_BYTES || isAnswer(message)) return { answer: undefined }
  if (opcode(message) !== OPCODE.QUERY) return { answer: headerAlone(message, { rcode: RCODE.NOTIMP }) }
  const question = questionOf(message)
  const rest = question && restOf(message)
  if (question === undefined || rest === undefined) return { answer: headerAlone(message, { rcode: RCODE.FORMERR }) }
  const { isSigned, opts } = rest
  const [opt] = opts
  const hasEdns = opt !== undefined
  const answer = (rcode: number) => ({ answer: encodeResponse(message, { ...question, hasEdns }, { rcode }) })
  if (opts.length > 1 || (opt !== undefined && opt.name !== '')) return answer(RCODE.FORMERR)
  // The version is the second byte of what is the TTL in other records.
  if (opt !== undefined && ((opt.ttl >>> 16) & 0xff) !== 0) return answer(RCODE.BADVERS)
  if (isSigned) return answer(RCODE.NOTAUTH) // there is no key
  return { query: { ...question, hasEdns, mostUdpBytes: Math.min(MOST_UDP_BYTES, Math.max(512, opt?.class ?? 0)) } }
}

/** What a query has besides its question; undefined if it is malformed. */
function restOf(message: Buffer) {
  try {
    const { additional, tsig } = decodeMessage(message)
    return { isSigned: tsig !== undefined, opts: additional.filter(({ type }) => type === TYPE.OPT) }
  } catch (error) {
    if (error instanceof DnsFormatError) return undefined
    throw error
  }
}

/** The answer of a server that asks others: the question again, and an A record for each address. `query` is what `questionOf` has read. */
export function answerTo(
  query: Buffer,
  { name, end }: Pick<Question, 'name' | 'end'>,
  rcode: number,
  { addresses = [], ttlSeconds = 0 }: { readonly addresses?: readonly string[]; readonly ttlSeconds?: number } = {},
): Buffer {
  const answers = addresses.map(address => ({ name, class: CLASS.IN, ttl: ttlSeconds, ...addressData(address) }))
  return encodeResponse(query, { name, end }, { rcode, isRecursive: true, answers })
}

/** The answer of such a server to a message that is not understood; undefined if there is nobody to answer. */
export function notUnderstood(message: Buffer): Buffer | undefined {
  if (message.length < HEADER_BYTES || isAnswer(message)) return undefined
  const rcode = opcode(message) === OPCODE.QUERY ? RCODE.FORMERR : RCODE.NOTIMP
  return headerAlone(message, { rcode, isRecursive: true })
}

const isAnswer = (message: Buffer): boolean => ((message[2] ?? 0) & 0x80) !== 0
const opcode = (message: Buffer): number => ((message[2] ?? 0) >> 3) & 0xf
