import { METHODS as KNOWN } from 'node:http'

// The ones that node:http knows, and so the apps behind it: what one server takes for a method the next must too.
const known = new Set(KNOWN)
export const LONGEST_METHOD = Math.max(...KNOWN.map(method => method.length))

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** Whether a request of this method may be sent again although the first one may have been handled (RFC 9110, 9.2.2). */
export const isIdempotent = (method: string): boolean => IDEMPOTENT.has(method)

const OFTEN_BARE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

/** Whether a request of this method says so where it has no body, by `Content-Length: 0` (RFC 9110, 8.6). */
export const saysItHasNoBody = (method: string): boolean => !OFTEN_BARE.has(method)

const COMMON = ['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']

/** The method in these bytes, or '' where nobody knows it. */
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
