import { METHODS as KNOWN } from 'node:http'

// Only methods that node:http knows: an app behind us must not read a method differently from us.
const known = new Set(KNOWN)
export const LONGEST_METHOD = Math.max(...KNOWN.map(method => method.length))

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** Tells whether a request of this method may be sent again although an upstream may have handled it (RFC 9110, 9.2.2). */
export const isIdempotent = (method: string): boolean => IDEMPOTENT.has(method)

const OFTEN_BARE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

/** Tells whether a request of this method without a body has to say so by `Content-Length: 0` (RFC 9110, 8.6). */
export const saysItHasNoBody = (method: string): boolean => !OFTEN_BARE.has(method)

const COMMON = ['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']

/** The method in these bytes; '' if it is unknown. */
export function readMethod(bytes: Buffer, from: number, to: number): string {
  for (const method of COMMON) {
    if (method.length === to - from && isExactly(bytes, from, method)) return method
  }
  const method = bytes.toString('latin1', from, to)
  return known.has(method) ? method : ''
}

function isExactly(bytes: Uint8Array, from: number, text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (bytes[from + at] !== text.charCodeAt(at)) return false
  return true
}
