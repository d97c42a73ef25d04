export const TAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SPACE = 0x20
export const COLON = 0x3a
export const UNDERSCORE = 0x5f

const table = (allowed: (byte: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => (allowed(byte) ? 1 : 0))

const among = (others: string) => (byte: number) =>
  /[0-9a-z]/i.test(String.fromCharCode(byte)) || others.includes(String.fromCharCode(byte))

/** Bytes of a token (RFC 9110, 5.6.2): names of headers and methods. */
export const TOKEN = table(byte => byte < 0x80 && among("!#$%&'*+-.^_`|~")(byte))
/** Bytes of a header's value (RFC 9110, 5.5), tabs and obs-text included, control bytes not. */
export const VALUE = table(byte => byte === TAB || (byte >= SPACE && byte !== 0x7f))
/** Bytes of a request target. No `#`: servers differ in whether it ends the target. */
export const TARGET = table(byte => byte > SPACE && byte < 0x7f && byte !== 0x23)
/** Bytes of a host with its port (RFC 3986, 3.2.2), IPv6 brackets included. */
export const HOST = table(byte => byte < 0x80 && among("-._~%!$&'()*+,;=:[]")(byte))
/** The value of a hexadecimal digit, or -1. */
export const HEX = Int8Array.from({ length: 256 }, (_, byte) => {
  const digit = String.fromCharCode(byte)
  return /[0-9a-f]/i.test(digit) ? Number.parseInt(digit, 16) : -1
})
const LOWER = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte))

/** Compares bytes with a text in lower case, ignoring case. */
export function isText(bytes: Uint8Array, from: number, to: number, lower: string): boolean {
  return to - from === lower.length && startsWith(bytes, from, to, lower)
}

/** Tells whether the bytes begin with a text in lower case, ignoring case. */
export function startsWith(bytes: Uint8Array, from: number, to: number, lower: string): boolean {
  if (to - from < lower.length) return false
  for (let at = 0; at < lower.length; at += 1) {
    if (LOWER[bytes[from + at] as number] !== lower.charCodeAt(at)) return false
  }
  return true
}

const FOLDED = LOWER.map(byte => (byte === UNDERSCORE ? 0x2d : byte))

/** The same as `startsWith`, with `_` read as `-`: apps that get headers as variables (CGI) cannot tell the two apart (RFC 3875, 4.1.18). */
export function startsWithFolded(bytes: Uint8Array, from: number, to: number, lower: string): boolean {
  if (to - from < lower.length) return false
  for (let at = 0; at < lower.length; at += 1) {
    if (FOLDED[bytes[from + at] as number] !== lower.charCodeAt(at)) return false
  }
  return true
}

const COPIED_BY_HAND = 32

/** Copies bytes. Short runs are copied in JavaScript, which costs less than a call into native code. */
export function copy(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > COPIED_BY_HAND) from.copy(to, at, start, end)
  else for (let next = start; next < end; next += 1) to[at + next - start] = from[next] as number
}
