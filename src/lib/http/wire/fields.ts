import { isText, startsWith } from './bytes.ts'

/** The headers that a hop has to know, told from the rest once, when the head is parsed. */
export const Field = {
  other: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  expect: 5,
  upgrade: 6,
  te: 7,
  trailer: 8,
  keepAlive: 9,
  /** Between a client and its own proxy. */
  proxy: 10,
  forwardedFor: 11,
  forwardedProto: 12,
  forwardedHost: 13,
  /** What else claims to know where a request came from. */
  claim: 14,
} as const

export type Field = (typeof Field)[keyof typeof Field]

/** Which header the name is. */
export function fieldOf(bytes: Uint8Array, from: number, to: number): Field {
  const is = (name: string): boolean => isText(bytes, from, to, name)
  switch (to - from) {
    case 2:
      return is('te') ? Field.te : Field.other
    case 4:
      return is('host') ? Field.host : Field.other
    case 6:
      return is('expect') ? Field.expect : Field.other
    case 7:
      return is('upgrade') ? Field.upgrade : is('trailer') ? Field.trailer : Field.other
    case 9:
      return is('forwarded') || is('x-real-ip') ? Field.claim : Field.other
    case 10:
      return is('connection') ? Field.connection : is('keep-alive') ? Field.keepAlive : Field.other
    case 14:
      return is('content-length') ? Field.contentLength : claimed(bytes, from, to)
    case 15:
      return is('x-forwarded-for') ? Field.forwardedFor : claimed(bytes, from, to)
    case 16:
      if (is('proxy-connection')) return Field.proxy
      return is('x-forwarded-host') ? Field.forwardedHost : claimed(bytes, from, to)
    case 17:
      if (is('transfer-encoding')) return Field.transferEncoding
      return is('x-forwarded-proto') ? Field.forwardedProto : claimed(bytes, from, to)
    case 18:
      return is('proxy-authenticate') ? Field.proxy : claimed(bytes, from, to)
    case 19:
      return is('proxy-authorization') ? Field.proxy : claimed(bytes, from, to)
    default:
      return to - from > 12 ? claimed(bytes, from, to) : Field.other
  }
}

const claimed = (bytes: Uint8Array, from: number, to: number): Field =>
  startsWith(bytes, from, to, 'x-forwarded-') ? Field.claim : Field.other

/** Whether a field is between two neighbours only (RFC 9110, 7.6.1). `Transfer-Encoding` is not among them: bodies pass as they are framed. */
export const HOP_BY_HOP: readonly boolean[] = Object.values(Field).map(field =>
  ([Field.connection, Field.upgrade, Field.te, Field.keepAlive, Field.proxy] as Field[]).includes(field),
)

/** Whether a field cannot be dropped by naming it in `Connection`: the message could not be understood without. */
export const NEEDED: readonly boolean[] = Object.values(Field).map(field =>
  ([Field.contentLength, Field.transferEncoding, Field.host, Field.trailer] as Field[]).includes(field),
)
