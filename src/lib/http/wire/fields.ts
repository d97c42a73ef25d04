import { startsWithFolded, UNDERSCORE } from './bytes.ts'

/** The headers that a proxy has to know. Each header is classified once, when the head is parsed. */
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
  /** Comes with an offer of h2c (RFC 7540, 3.2.1). Some clients do not name it in `Connection`, although they must. */
  http2Settings: 11,
  date: 12,
  via: 13,
  forwardedFor: 14,
  forwardedProto: 15,
  forwardedHost: 16,
  forwarded: 17,
  /** Any other header that claims to know where a request came from. */
  claim: 18,
  /**
   * One of these names written with `_` instead of `-`, and `Proxy`. Apps that get headers as variables (CGI, WSGI) cannot tell `_` from
   * `-`, and take `Proxy` for the proxy to use for their own requests (CVE-2016-5385). So these headers of requests are never forwarded.
   */
  folded: 19,
  /** Strict-Transport-Security. */
  hsts: 20,
} as const

export type Field = (typeof Field)[keyof typeof Field]

/** Classifies a name. Length and first letter are compared first, since most headers are none of these. */
export function fieldOf(bytes: Uint8Array, from: number, to: number): Field {
  const known = BY_LENGTH[to - from]
  const first = (bytes[from] as number) | 0x20
  if (known !== undefined) {
    for (let at = 0; at < known.length; at += 1) {
      const { name, field, initial } = known[at] as Known
      if (initial === first && startsWithFolded(bytes, from, to, name))
        return isAsWritten(bytes, from, name.length) ? field : Field.folded
    }
  }
  if (first !== 0x78 || to - from <= CLAIM.length || !startsWithFolded(bytes, from, to, CLAIM)) return Field.other
  return isAsWritten(bytes, from, CLAIM.length) ? Field.claim : Field.folded
}

/** Tells whether the name is written without `_`. */
function isAsWritten(bytes: Uint8Array, from: number, length: number): boolean {
  for (let at = from; at < from + length; at += 1) if (bytes[at] === UNDERSCORE) return false
  return true
}

type Known = { readonly name: string; readonly field: Field; readonly initial: number }

const CLAIM = 'x-forwarded-'
/** The headers that a proxy has to know, by their names in lower case. */
export const FIELD_NAMES: Readonly<Record<string, Field>> = {
  host: Field.host,
  connection: Field.connection,
  'content-length': Field.contentLength,
  'transfer-encoding': Field.transferEncoding,
  expect: Field.expect,
  upgrade: Field.upgrade,
  te: Field.te,
  trailer: Field.trailer,
  'keep-alive': Field.keepAlive,
  'proxy-connection': Field.proxy,
  'proxy-authenticate': Field.proxy,
  'proxy-authorization': Field.proxy,
  'http2-settings': Field.http2Settings,
  date: Field.date,
  via: Field.via,
  'x-forwarded-for': Field.forwardedFor,
  'x-forwarded-proto': Field.forwardedProto,
  'x-forwarded-host': Field.forwardedHost,
  forwarded: Field.forwarded,
  'x-real-ip': Field.claim,
  proxy: Field.folded,
  'strict-transport-security': Field.hsts,
}
const BY_LENGTH: readonly (readonly Known[] | undefined)[] = Array.from({ length: 26 }, (_, length) => {
  const known = Object.entries(FIELD_NAMES).filter(([name]) => name.length === length)
  return known.length === 0 ? undefined : known.map(([name, field]) => ({ name, field, initial: name.charCodeAt(0) }))
})
